from __future__ import annotations

import platform

import pytest

from shared.platform.host_settings import LXD_SOCKETS, host_id, lxd_socket
from shared.platform.settings import EnvReader, SettingsError


def test_a_host_is_called_what_the_operator_says() -> None:
    assert host_id(EnvReader({"FLEET_HOST": "rack1-h2"})) == "rack1-h2"


def test_a_host_without_a_name_of_its_own_has_the_machine_s_without_dots() -> None:
    assert host_id(EnvReader({})) == platform.node().replace(".", "-")


@pytest.mark.parametrize("host", ["a.b", "*", "#", "-a", "a b", "a" * 64])
def test_a_name_that_cannot_stand_in_a_routing_key_is_refused(host: str) -> None:
    reader = EnvReader({"FLEET_HOST": host})

    host_id(reader)

    with pytest.raises(SettingsError, match="FLEET_HOST"):
        reader.check()


def test_the_socket_is_the_one_that_is_named_else_the_one_in_lxd_s_directory() -> None:
    named = {"FLEET_LXD_SOCKET": "/x/unix.socket", "LXD_DIR": "/y"}
    directory = {"LXD_DIR": "/y"}

    assert lxd_socket(EnvReader(named), named) == "/x/unix.socket"
    assert lxd_socket(EnvReader(directory), directory) == "/y/unix.socket"


def test_the_socket_is_otherwise_a_usual_one() -> None:
    assert lxd_socket(EnvReader({}), {}) in LXD_SOCKETS
