import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from deploy.local import processes
from tests.support.daemons import ROOT


def test_a_process_is_ours_only_with_its_mark(tmp_path: Path) -> None:
    pid = processes.spawn(["sleep", "60"], os.environ | {"MARK": "mine"}, tmp_path / "log")

    assert processes.is_ours(pid, "MARK=mine")
    assert not processes.is_ours(pid, "MARK=another")

    processes.end(pid, "MARK=mine")


def test_a_daemon_does_not_stay_in_a_directory_that_may_be_deleted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = processes.spawn(["sh", "-c", "pwd; sleep 60"], os.environ | {"MARK": "mine"}, log)

    assert processes.wait_until(lambda: log.read_text() == "/\n", timeout_s=5)

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


def test_no_other_program_is_given_the_same_port() -> None:
    port = processes.free_port()
    others = range(9000, 9020)
    script = "import sys; from deploy.local import processes; draws = iter(sys.argv[1:]); "
    script += "print(processes.free_port(lambda: int(next(draws))))"
    command = [sys.executable, "-c", script, *map(str, (port, *others))]

    given = subprocess.check_output(command, cwd=ROOT)

    assert int(given) in others


def test_a_free_port_can_be_listened_on() -> None:
    port = processes.free_port()

    assert processes.bindable(port)
    assert not processes.listens(port)


def test_waiting_ends_when_the_time_is_over() -> None:
    assert not processes.wait_until(lambda: False, timeout_s=0.01)


def test_a_log_that_has_grown_too_long_is_begun_anew_under_its_daemon(tmp_path: Path) -> None:
    log = tmp_path / "lxd.log"
    with log.open("a") as daemons:
        daemons.write("x" * 100)
        daemons.flush()

        processes.limit_log(log, max_bytes=99)
        daemons.write("y")

    assert log.read_text() == "y"
    assert (tmp_path / "lxd.log.1").read_text() == "x" * 100


def test_a_short_log_and_one_that_is_not_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x")

    processes.limit_log(tmp_path / "log", max_bytes=1)
    processes.limit_log(tmp_path / "none", max_bytes=1)

    assert [file.name for file in tmp_path.iterdir()] == ["log"]


def test_a_signal_waits_until_what_was_started_is_written_down() -> None:
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    try:
        with processes.defer_signals():
            # To this thread: other tests leave some that hold nothing back.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            arrived_inside = list(arrived)
        assert arrived == [signal.SIGTERM]
        assert arrived_inside == []
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_daemon_that_is_started_meanwhile_can_be_told_to_end(tmp_path: Path) -> None:
    with processes.defer_signals():
        pid = processes.spawn(["sleep", "60"], os.environ | {"MARK": "mine"}, tmp_path / "log")

    processes.end(pid, "MARK=mine", timeout_s=5)

    assert not processes.is_ours(pid, "MARK=mine")
