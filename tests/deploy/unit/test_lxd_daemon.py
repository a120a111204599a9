from __future__ import annotations

import os
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from deploy.local import lxd_api, lxd_daemon, processes
from shared.contracts.errors import LxdBusy, LxdRefused
from shared.lxd.errors import LxdNotFound

TABLE = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_routes_are_read_without_the_default_route() -> None:
    assert lxd_daemon.routes(TABLE) == [IPv4Network("192.0.2.0/24")]


def test_a_machine_without_routes_has_none() -> None:
    assert lxd_daemon.routes(TABLE.splitlines()[0]) == []


def test_a_bridge_takes_the_first_free_number() -> None:
    assert lxd_daemon.free_name("fleetbr", {"lo", "fleetbr0", "fleetbr2"}) == "fleetbr1"


def daemon(directory: Path, fleet: str) -> int:
    """Start what stands for a daemon that was started for this fleet; return its number."""
    env = os.environ | {lxd_daemon.FLEET_MARK: fleet}
    pid = processes.spawn(["sleep", "60"], env, directory.with_suffix(".log"))
    directory.with_suffix(".pid").write_text(str(pid))
    return pid


@pytest.mark.attack
def test_a_daemon_that_another_fleet_has_started_runs_on(tmp_path: Path) -> None:
    directory = tmp_path / "lxd"
    pid = daemon(directory, "/another/var")

    lxd_daemon.stop_for(tmp_path / "var", directory)

    assert processes.is_ours(pid, f"{lxd_daemon.FLEET_MARK}=/another/var")
    processes.kill(pid, f"{lxd_daemon.FLEET_MARK}=/another/var")


def test_a_daemon_that_an_earlier_run_of_this_fleet_has_left_is_stopped(tmp_path: Path) -> None:
    directory = tmp_path / "lxd"
    pid = daemon(directory, str(tmp_path / "var"))

    lxd_daemon.stop_for(tmp_path / "var", directory)

    assert not processes.is_ours(pid, f"{lxd_daemon.FLEET_MARK}={tmp_path / 'var'}")


def test_an_empty_file_of_a_number_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(processes, "end", lambda pid, *_, **__: ended.append(pid))
    (tmp_path / "lxd.pid").touch()

    lxd_daemon.stop_for(tmp_path / "var", tmp_path / "lxd")
    lxd_daemon.stop(tmp_path / "lxd")

    assert ended == []


def test_only_a_daemon_of_the_fleet_has_its_log_limited(tmp_path: Path) -> None:
    directory = tmp_path / "lxd"
    pid = daemon(directory, "/another/var")
    with directory.with_suffix(".log").open("wb") as log:
        log.truncate(processes.MAX_LOG_BYTES + 1)

    lxd_daemon.limit_log(tmp_path / "var", directory)
    untouched = directory.with_suffix(".log").stat().st_size
    lxd_daemon.limit_log(Path("/another/var"), directory)

    assert untouched == processes.MAX_LOG_BYTES + 1
    assert directory.with_suffix(".log").stat().st_size == 0
    processes.kill(pid, f"{lxd_daemon.FLEET_MARK}=/another/var")


def test_a_bridge_that_lxd_stumbles_over_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def call(_: Path, method: str, path: str, body: object = None) -> object:
        asked.append(method)
        if method == "POST":
            raise LxdRefused("an interface has gone")
        return [] if path == "/1.0/storage-pools" else None

    monkeypatch.setattr(lxd_api, "call", call)

    with pytest.raises(LxdRefused):
        lxd_daemon.initialise(Path("/nowhere"))

    assert asked.count("POST") == lxd_daemon.BRIDGE_TRIES


@pytest.mark.parametrize("busy", [1, lxd_daemon.DELETE_TRIES])
def test_an_instance_that_lxd_is_busy_with_is_deleted_when_it_is_not(
    monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    asked: list[str] = []

    def call(_: Path, method: str, path: str, body: object = None) -> None:
        asked.append(method)
        if method == "GET" and asked.count("DELETE") > busy:
            raise LxdNotFound
        if method == "PUT":
            raise LxdRefused("The instance is already stopped")
        if method == "DELETE" and asked.count("DELETE") <= busy:
            raise LxdBusy("stop")

    monkeypatch.setattr(lxd_api, "call", call)
    monkeypatch.setattr(lxd_daemon, "BUSY_S", 0.0)

    with suppress(LxdBusy):
        lxd_daemon.force_delete(Path("/nowhere"), "web")

    assert asked.count("DELETE") == min(busy + 1, lxd_daemon.DELETE_TRIES)
