import os
from pathlib import Path

from deploy.local import processes


def test_a_process_is_ours_only_with_its_mark(tmp_path: Path) -> None:
    pid = processes.spawn(["sleep", "60"], os.environ | {"MARK": "mine"}, tmp_path / "log")

    assert processes.is_ours(pid, "MARK=mine")
    assert not processes.is_ours(pid, "MARK=another")

    processes.end(pid, "MARK=mine")


def test_an_ended_process_is_ours_no_more(tmp_path: Path) -> None:
    pid = processes.spawn(["sleep", "60"], os.environ | {"MARK": "mine"}, tmp_path / "log")

    processes.end(pid, "MARK=mine")

    assert not processes.is_ours(pid, "MARK=mine")


def test_a_process_without_the_mark_is_never_ended(tmp_path: Path) -> None:
    pid = processes.spawn(["sleep", "60"], os.environ | {"MARK": "stranger"}, tmp_path / "log")

    processes.end(pid, "MARK=mine", timeout_s=0.1)

    assert processes.is_ours(pid, "MARK=stranger")
    processes.kill(pid, "MARK=stranger")


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    log = tmp_path / "log"
    pid = processes.spawn(stubborn, os.environ | {"MARK": "mine"}, log)
    processes.wait_until(lambda: "ready" in log.read_text(), timeout_s=5)

    processes.end(pid, "MARK=mine", timeout_s=0.2)

    assert not processes.is_ours(pid, "MARK=mine")


def test_a_free_port_can_be_listened_on() -> None:
    port = processes.free_port()

    assert processes.bindable(port)
    assert not processes.listens(port)


def test_waiting_ends_when_the_time_is_over() -> None:
    assert not processes.wait_until(lambda: False, timeout_s=0.01)
