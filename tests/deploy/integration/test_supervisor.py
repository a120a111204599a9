"""However the command of a fleet comes to its end: services first, then what they stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from deploy.local import processes
from deploy.local.supervisor import MOST_DEATHS, WRONG_SETTINGS
from tests.support.daemons import ROOT
from tests.support.polling import wait_until

SCRIPT = "tests.deploy.integration.supervise"
BOTH = ("one", "two")


class Run:
    """A supervisor with two stub services, and what they noted."""

    def __init__(self, process: subprocess.Popen[bytes], notes: Path) -> None:
        self.process = process
        self._notes = notes

    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines()

    def wait_for(self, *notes: str) -> None:
        wait_until(lambda: set(notes) <= set(self.notes()), within_s=20, seen=lambda: self.notes())

    def pids(self, name: str) -> list[int]:
        """Return the number of each of the service's runs."""
        started = [line for line in self.notes() if line.startswith(f"{name} started")]
        return [int(line.split()[-1]) for line in started]

    def told_to_end(self) -> list[str]:
        """Return what was noted after the starts, in order."""
        return [line for line in self.notes() if "started" not in line]


@contextmanager
def running(
    tmp_path: Path, stdout: int | IO[bytes], *, stop_timeout_s: float = 20, **env: str
) -> Iterator[Run]:
    notes = tmp_path / "notes"
    notes.touch()
    with subprocess.Popen(
        [sys.executable, "-m", SCRIPT, str(stop_timeout_s)],
        cwd=ROOT,
        env=os.environ | {"NOTES": str(notes)} | env,
        stdout=stdout,
        stderr=stdout,
        start_new_session=True,
    ) as process:
        run = Run(process, notes)
        try:
            wait_until(lambda: len(run.notes()) >= 2, within_s=20)
            yield run
        finally:
            process.kill()
            for pid in (pid for name in BOTH for pid in run.pids(name)):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and b"stub_service" in (
        Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_device() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.attack
@pytest.mark.parametrize("output", [closed_pipe, full_device])
def test_output_that_cannot_be_written_ends_nothing(
    tmp_path: Path, output: Callable[[], int]
) -> None:
    descriptor = output()

    with running(tmp_path, descriptor) as run:
        ended = processes.wait_until(lambda: run.process.poll() is not None, timeout_s=1)
        noted = run.told_to_end()
    os.close(descriptor)

    assert not ended
    assert noted == []


@pytest.mark.attack
@pytest.mark.parametrize("output", [closed_pipe, full_device])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_services_end_before_the_daemons_whatever_the_output(
    tmp_path: Path, output: Callable[[], int], number: signal.Signals
) -> None:
    descriptor = output()

    with running(tmp_path, descriptor) as run:
        run.process.send_signal(number)
        code = run.process.wait(timeout=20)
        noted = run.told_to_end()
    os.close(descriptor)

    assert code == 128 + number
    assert sorted(noted[:4]) == ["one SIGTERM", "one ended", "two SIGTERM", "two ended"]
    assert noted[4:] == ["daemon stopped"]


@pytest.mark.attack
def test_services_go_on_while_nobody_reads_the_output(tmp_path: Path) -> None:
    with running(tmp_path, subprocess.PIPE, CHATTY="yes") as run:
        run.wait_for("one has printed 2000 lines", "two has printed 2000 lines")

        run.process.terminate()
        code = run.process.wait(timeout=20)

        assert code == 128 + signal.SIGTERM
        assert run.notes()[-1] == "daemon stopped"


@pytest.mark.attack
def test_a_service_that_does_not_end_in_time_is_killed_before_the_daemons_stop(
    tmp_path: Path,
) -> None:
    with running(tmp_path, subprocess.DEVNULL, stop_timeout_s=0.5, STUBBORN="yes") as run:
        run.process.terminate()
        run.process.wait(timeout=20)

        assert not lives(run.pids("two")[0])
        assert run.told_to_end()[-1] == "daemon stopped"
        assert "two ended" not in run.notes()


def test_a_second_ctrl_c_kills_at_once_and_still_stops_the_daemons(tmp_path: Path) -> None:
    with running(tmp_path, subprocess.DEVNULL, stop_timeout_s=60, STUBBORN="yes") as run:
        run.process.send_signal(signal.SIGINT)
        run.wait_for("one ended", "two SIGTERM")
        run.process.send_signal(signal.SIGINT)
        run.process.wait(timeout=20)

        assert not lives(run.pids("two")[0])
        assert run.told_to_end()[-1] == "daemon stopped"


def test_other_signals_do_not_hurry_it(tmp_path: Path) -> None:
    with running(tmp_path, subprocess.DEVNULL, stop_timeout_s=3, STUBBORN="yes") as run:
        run.process.send_signal(signal.SIGTERM)
        run.wait_for("two SIGTERM")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            run.process.send_signal(number)
        lived = processes.wait_until(lambda: not lives(run.pids("two")[0]), timeout_s=1) is False
        run.process.wait(timeout=20)

        assert lived
        assert run.told_to_end()[-1] == "daemon stopped"


@pytest.mark.attack
def test_services_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, subprocess.DEVNULL) as run:
        run.process.kill()

        run.wait_for("one ended", "two ended")
        assert "daemon stopped" not in run.notes()


def test_a_service_that_is_killed_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path, subprocess.DEVNULL) as run:
        os.kill(run.pids("one")[0], signal.SIGKILL)
        wait_until(lambda: len(run.pids("one")) == 2, within_s=20)
        noted = run.told_to_end()
        run.process.terminate()

        assert run.process.wait(timeout=20) == 128 + signal.SIGTERM
        assert noted == []
        assert len(run.pids("two")) == 1
        assert run.notes()[-1] == "daemon stopped"


@pytest.mark.parametrize(
    ("exit_code", "times"),
    [
        pytest.param(0, 1, id="it ended on purpose"),
        pytest.param(WRONG_SETTINGS, 1, id="its settings are wrong"),
        pytest.param(1, MOST_DEATHS, id="it dies again and again"),
    ],
)
def test_when_a_service_has_ended_for_good_all_are_told_to_end(
    tmp_path: Path, exit_code: int, times: int
) -> None:
    with running(tmp_path, subprocess.DEVNULL, EXIT_CODE=str(exit_code)) as run:
        code = run.process.wait(timeout=20)

        assert code == exit_code
        assert len(run.pids("two")) == times
        assert run.told_to_end() == ["one SIGTERM", "one ended", "daemon stopped"]


def test_each_line_names_its_service(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with log.open("wb") as file, running(tmp_path, file) as run:
        wait_until(lambda: b"two    | a line" in log.read_bytes(), within_s=10)
        run.process.terminate()
        run.process.wait(timeout=20)

    assert log.read_text().endswith(" system | all services have ended\n")
