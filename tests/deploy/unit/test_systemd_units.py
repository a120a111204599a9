"""What the systemd units promise, read from the files, and what systemd itself makes of them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from services.gateway.http import server as gateway
from shared.platform.run import runner
from tests.support.daemons import ROOT, missing

NAMES = ("gateway", "worker", "sampler", "snapshots")


def path(name: str) -> str:
    return str(ROOT / "deploy" / "systemd" / f"lxdfleet-{name}.service")


def directives(name: str) -> dict[str, list[str]]:
    """Return each directive of a unit with its values, in order."""
    found: dict[str, list[str]] = {}
    with open(path(name)) as file:  # noqa: PTH123
        for line in file:
            key, separator, value = line.strip().partition("=")
            if separator and not key.startswith("#"):
                found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "most"),
    [("gateway", 1.5), ("worker", 2.5), ("sampler", 2.5), ("snapshots", 1.5)],
    ids=NAMES,
)
def test_systemd_finds_a_unit_little_exposed(name: str, most: float) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not installed")

    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path(name)],
        check=True,
        capture_output=True,
        text=True,
    )

    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= most, said.stdout
    assert "ignoring" not in said.stderr  # a directive that systemd does not know


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_no_capability_and_writes_to_its_own_state_only(name: str) -> None:
    unit = directives(name)

    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["StateDirectory"] == [f"lxdfleet-{name}"]
    assert unit["StateDirectoryMode"] == ["0700"]
    assert f"FLEET_STATE_DIR=/var/lib/lxdfleet-{name}" in unit["Environment"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_service_can_take_from_its_machine_has_limits(name: str) -> None:
    unit = directives(name)

    for limit in ("MemoryHigh", "MemoryMax", "TasksMax", "LimitNOFILE"):
        assert re.fullmatch(r"\d+[MG]?", unit[limit][0]), limit


@pytest.mark.parametrize("name", NAMES)
def test_secrets_come_as_credentials(name: str) -> None:
    unit = directives(name)

    loaded = {one.partition(":")[0] for one in unit["LoadCredential"]}
    named = {one.partition("=%d/")[2] for one in unit["Environment"] if "_FILE=" in one}
    assert named == loaded


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_started_again_for_ever_unless_its_settings_are_wrong(name: str) -> None:
    unit = directives(name)

    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["RestartPreventExitStatus"] == ["2"]


def test_systemd_waits_longer_than_a_service_takes_to_end() -> None:
    longest = {"gateway": gateway.GRACE_S, "worker": 2 * runner.GRACE_S}
    longest["sampler"] = longest["snapshots"] = longest["worker"]

    for name in NAMES:
        assert int(directives(name)["TimeoutStopSec"][0]) > longest[name]


def test_only_the_central_services_need_nothing_of_other_processes() -> None:
    for name in ("gateway", "snapshots"):
        assert directives(name)["DynamicUser"] == ["yes"]
        assert directives(name)["ProtectProc"] == ["invisible"]
    # They look at the processes of instances.
    assert not {"ProtectProc", "ProcSubset", "PrivateUsers"} & set(directives("worker"))
    assert not {"ProtectProc", "ProcSubset", "PrivateUsers"} & set(directives("sampler"))
