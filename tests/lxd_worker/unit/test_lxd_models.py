"""How LXD's answers are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.lxd_worker.instances.observation import InitProcess
from services.lxd_worker.lxd.progress import progress_of
from services.lxd_worker.lxd.reader import init_process
from services.lxd_worker.protocols import LxdOperation
from shared.contracts.errors import Cancelled, LxdRefused
from shared.lxd.models import LxdTask


def task(**changes: Any) -> LxdTask:
    told = {
        "id": "1",
        "class": "task",
        "status_code": 103,
        "err": "",
        "resources": {"instances": ["/1.0/instances/web"]},
    }
    return msgspec.convert(told | changes, LxdTask)


@pytest.mark.parametrize("code", [100, 103, 104, 105])
def test_below_200_lxd_is_not_done_yet(code: int) -> None:
    assert progress_of(task(status_code=code)) == LxdOperation(running=True)


def test_success_has_no_error() -> None:
    assert progress_of(task(status_code=200)) == LxdOperation(running=False, error=None)


def test_a_failure_inside_an_operation_carries_lxds_reason() -> None:
    error = task(status_code=400, err="The instance is already stopped").error

    assert isinstance(error, LxdRefused)
    assert error.reason == "The instance is already stopped"


def test_a_cancelled_operation_is_no_refusal() -> None:
    assert isinstance(task(status_code=401, err="cancelled").error, Cancelled)


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        ({}, True),
        ({"resources": {"instances": ["/1.0/instances/web?project=lab"]}}, True),
        ({"resources": {"instances": ["/1.0/instances/web2"]}}, False),
        ({"resources": None}, False),
        ({"class": "websocket"}, False),
    ],
)
def test_only_tasks_on_the_instance_itself_concern_it(
    changes: dict[str, Any], concerned: bool
) -> None:
    assert task(**changes).concerns("web") is concerned


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({"resources": {"instances": ["/1.0/instances/web"]}}, True),
        ({"resources": {"instances": ["/1.0/instances/web/snap"]}}, True),
        ({"resources": {"instances_snapshots": ["/1.0/instances/web/snapshots/snap"]}}, True),
        ({"resources": {"instances": ["/1.0/instances/new", "/1.0/instances/web"]}}, True),
        ({"class": "websocket", "description": "Migrating instance"}, True),
        ({"class": "websocket", "description": "Executing command"}, False),
        ({"class": "websocket", "description": "Showing console"}, False),
        ({"resources": {"instances": ["/1.0/instances/new", "/1.0/instances/web/s1"]}}, True),
        ({"resources": {"instances": ["/1.0/instances/web?project=lab"]}}, True),
        ({"resources": {"instances": ["/1.0/instances/web?project=other"]}}, False),
        ({"resources": {"instances": ["/1.0/instances/db"]}}, False),
        ({"resources": None}, False),
    ],
)
def test_whoever_sends_or_reads_an_instance_uses_it_but_nobody_who_works_in_it(
    changes: dict[str, Any], used: bool
) -> None:
    assert task(**changes).uses("lab", "web") is used


def test_a_process_is_known_by_its_pid_and_its_start() -> None:
    me = init_process(os.getpid())

    assert me is not None
    assert me.pid == os.getpid()
    assert me == init_process(os.getpid())


def test_a_programs_name_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(str(number) for number in range(4, 40))
    (tmp_path / "7" / "stat").write_text(f"7 (a) b (c) S {fields}\n")

    assert init_process(7, tmp_path) == InitProcess(7, 22)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_where_there_is_no_process_there_is_nothing_to_know(pid: int) -> None:
    assert init_process(pid) is None


@pytest.mark.attack
@pytest.mark.parametrize("name", [b"abcdefghijklmn\xc3", b"a) S (b\xff", b"\n) R 1 1", b""])
def test_a_process_may_be_called_by_any_bytes(tmp_path: Path, name: bytes) -> None:
    numbers = " ".join(str(number) for number in range(4, 40))
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_bytes(b"7 (" + name + b") S " + numbers.encode())

    assert init_process(7, tmp_path) == InitProcess(7, 22)


@pytest.mark.parametrize("text", [b"", b"7 (init) S 1 2", b"7 (init) S " + b"x " * 40])
def test_a_process_whose_line_cannot_be_read_is_unknown(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_bytes(text)

    assert init_process(7, tmp_path) is None
