from pathlib import Path

import pytest

from deploy.local import credentials
from shared.contracts.errors import InvalidInput
from shared.platform.bus.permissions import (
    CENTRAL_PERMISSIONS,
    SNAPSHOTS_PERMISSIONS,
    host_permissions,
)


def test_a_password_is_drawn_once_and_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "credentials" / "central"

    drawn = credentials.password(file)

    assert credentials.password(file) == drawn
    assert file.stat().st_mode & 0o777 == 0o600


def test_users_have_passwords_of_their_own(tmp_path: Path) -> None:
    users = credentials.users(tmp_path, ["h1", "h2"])

    assert [user.name for user in users] == ["central", "snapshots", "host-h1", "host-h2"]
    assert len({user.password for user in users}) == 4


def test_a_host_may_do_what_a_host_may(tmp_path: Path) -> None:
    central, snapshots, host = credentials.users(tmp_path, ["h1"])

    assert central.permissions == CENTRAL_PERMISSIONS
    assert snapshots.permissions == SNAPSHOTS_PERMISSIONS
    assert host.permissions == host_permissions("h1", host.password)


def test_a_host_that_calls_itself_central_is_only_a_host(tmp_path: Path) -> None:
    central, snapshots, *hosts = credentials.users(tmp_path, ["central", "snapshots"])

    assert not {central.name, snapshots.name} & {host.name for host in hosts}


def test_a_host_id_that_no_routing_key_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        credentials.users(tmp_path, ["a.b"])


def test_addresses_are_kept_from_others(tmp_path: Path) -> None:
    files = credentials.write_uris(tmp_path, {"central": "amqp://central:secret@broker"})

    assert files["central"].read_text() == "amqp://central:secret@broker"
    assert files["central"].stat().st_mode & 0o777 == 0o600
