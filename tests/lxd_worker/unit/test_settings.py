"""The worker's settings: what is needed, what is taken when nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.lxd_worker.creation.capacity import Overcommit
from services.lxd_worker.creation.port_pool import NatPool
from services.lxd_worker.settings import LOGIN_SHELL, Settings
from shared.platform.host_settings import LXD_SOCKETS
from shared.platform.settings import SettingsError

LEAST = {"FLEET_AMQP_URI": "amqp://h1:secret@broker/", "FLEET_HOST": "h1"}


def test_the_brokers_address_is_enough() -> None:
    settings = Settings.from_env(LEAST)

    assert (settings.amqp_uri, settings.host) == ("amqp://h1:secret@broker/", "h1")
    assert (settings.heartbeat_s, settings.inventory_s, settings.journal_days) == (2.0, 60.0, 7.0)
    assert settings.lxd_socket in LXD_SOCKETS


def test_a_host_without_a_name_of_its_own_takes_the_machines() -> None:
    settings = Settings.from_env({"FLEET_AMQP_URI": "amqp://x"})

    assert settings.host
    assert "." not in settings.host


@pytest.mark.parametrize(
    ("env", "socket"),
    [
        ({"FLEET_LXD_SOCKET": "/run/lxd.socket"}, "/run/lxd.socket"),
        ({"LXD_DIR": "/srv/lxd"}, "/srv/lxd/unix.socket"),
        ({"LXD_DIR": "/srv/lxd", "FLEET_LXD_SOCKET": "/run/lxd.socket"}, "/run/lxd.socket"),
    ],
)
def test_lxd_is_where_somebody_says_it_is(env: dict[str, str], socket: str) -> None:
    assert Settings.from_env(LEAST | env).lxd_socket == socket


def test_the_password_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "uri"
    file.write_text("amqp://h1:from-a-file@broker/\n")

    settings = Settings.from_env({"FLEET_HOST": "h1", "FLEET_AMQP_URI_FILE": str(file)})

    assert settings.amqp_uri == "amqp://h1:from-a-file@broker/"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/bin/ash -l", ("/bin/ash", "-l")),
        ("su -c 'echo $HOME' web", ("su", "-c", "echo $HOME", "web")),
        ("", LOGIN_SHELL),
    ],
)
def test_a_consoles_command_is_split_as_a_shell_would(line: str, words: tuple[str, ...]) -> None:
    assert Settings.from_env(LEAST | {"FLEET_CONSOLE_COMMAND": line}).console_command == words


def test_a_host_may_allow_no_console_at_all() -> None:
    assert Settings.from_env(LEAST | {"FLEET_MAX_CONSOLES": "0"}).most_consoles == 0


def test_more_consoles_than_a_host_has_queues_for_are_refused_with_the_most_there_may_be() -> None:
    with pytest.raises(SettingsError, match=r"FLEET_MAX_CONSOLES is '65'; it takes .* to 64"):
        Settings.from_env(LEAST | {"FLEET_MAX_CONSOLES": "65"})


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as problems:
        Settings.from_env(
            {
                "FLEET_HOST": "h.1",
                "FLEET_HEARTBEAT_S": "never",
                "FLEET_MAX_CONSOLES": "-1",
                "FLEET_CONSOLE_COMMAND": "sh -c 'half",
            }
        )

    for name in (
        "FLEET_AMQP_URI",
        "FLEET_HOST",
        "FLEET_HEARTBEAT_S",
        "FLEET_MAX_CONSOLES",
        "FLEET_CONSOLE_COMMAND",
    ):
        assert name in str(problems.value)


def test_what_new_instances_may_have_is_a_matter_of_settings() -> None:
    settings = Settings.from_env(
        LEAST
        | {
            "FLEET_OVERCOMMIT_CPU": "8",
            "FLEET_IMAGE_REMOTES": "images=https://images.example.org, lab=https://lab:8443/x, "
            "own=http://127.0.0.1:8080, own6=http://[::1]",
            "FLEET_NAT_ADDRESS": "203.0.113.7",
            "FLEET_NAT_SSH_PORTS": "20000-20999",
            "FLEET_NAT_PORTS": "30000-30999,31005",
        }
    )

    assert settings.overcommit == Overcommit(cpu=8.0, memory=1.0, disk=1.0)
    assert settings.remotes == {
        "images": "https://images.example.org",
        "lab": "https://lab:8443/x",
        "own": "http://127.0.0.1:8080",
        "own6": "http://[::1]",
    }
    assert settings.nat_pool == NatPool(
        "h1", "203.0.113.7", ssh=((20000, 20999),), ports=((30000, 30999), (31005, 31005))
    )


def test_without_settings_a_host_gives_out_no_ports_and_fetches_no_images() -> None:
    settings = Settings.from_env(LEAST)

    assert settings.overcommit == Overcommit(cpu=4.0, memory=1.0, disk=1.0)
    assert (settings.remotes, settings.nat_pool) == ({}, NatPool("h1"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEET_OVERCOMMIT_MEMORY", "0"),
        ("FLEET_IMAGE_REMOTES", "https://images.example.org"),
        ("FLEET_IMAGE_REMOTES", "images=http://images.example.org"),
        ("FLEET_IMAGE_REMOTES", "images=http://localhost.example.org"),
        ("FLEET_IMAGE_REMOTES", "images=http://192.0.2.1"),
        ("FLEET_IMAGE_REMOTES", "images=http://127.0.0.1@192.0.2.1"),
        ("FLEET_IMAGE_REMOTES", "images=https://"),
        ("FLEET_IMAGE_REMOTES", "images=https://[::1"),
        ("FLEET_IMAGE_REMOTES", "images=file:///etc"),
        ("FLEET_IMAGE_REMOTES", "a:b=https://images.example.org"),
        ("FLEET_IMAGE_REMOTES", ",".join(f"s{number}=https://s" for number in range(65))),
        ("FLEET_NAT_ADDRESS", "here"),
        ("FLEET_NAT_ADDRESS", "0.0.0.0"),
        ("FLEET_NAT_ADDRESS", "::"),
        ("FLEET_NAT_SSH_PORTS", "20999-20000"),
        ("FLEET_NAT_PORTS", "0-10"),
        ("FLEET_NAT_PORTS", "65530-65536"),
        ("FLEET_NAT_PORTS", "ssh"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as problems:
        Settings.from_env(LEAST | {name: value})

    assert name in str(problems.value)
