import pytest

from deploy.local import install_packages
from deploy.local.install_packages import Requirement

BROKER = Requirement("a broker", lambda: False, (("rabbitmq-server",),))
DAEMON = Requirement(
    "LXD or Incus", lambda: False, (("incus-base", "nftables"), ("lxd", "nftables"))
)
THERE = Requirement("what is there", lambda: True, (("there",),))


def test_an_explanation_names_what_is_missing_and_how_to_get_it() -> None:
    text = install_packages.explanation(
        [BROKER, DAEMON], ["rabbitmq-server", "lxd"], "FLEET_INSTALL=no"
    )

    assert "  * a broker\n  * LXD or Incus\n" in text
    assert "because FLEET_INSTALL=no" in text
    assert text.endswith("--no-install-recommends rabbitmq-server lxd")


def test_an_announcement_names_every_package() -> None:
    text = install_packages.announcement([BROKER, DAEMON], ["rabbitmq-server", "lxd", "nftables"])

    assert "  * a broker\n  * LXD or Incus\n" in text
    assert text.endswith("rabbitmq-server lxd nftables")


def test_nothing_is_installed_against_the_callers_will() -> None:
    with pytest.raises(install_packages.RequirementsNotMet, match="rabbitmq-server"):
        install_packages.install_missing([BROKER, THERE], {"FLEET_INSTALL": "no"})


def test_what_is_there_needs_no_permission(capsys: pytest.CaptureFixture[str]) -> None:
    install_packages.install_missing([THERE], {"FLEET_INSTALL": "no"})

    assert capsys.readouterr() == ("", "")
