from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.keep_running import MOST_DEATHS, Keeper
from deploy.local.processes import wait_until

NOTE_AND_END = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(int(sys.argv[2]))"
NOTE_AND_STAY = (
    "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()} '); time.sleep(60)"
)


def runs(notes: Path, exit_code: int) -> tuple[int, int]:
    """Return the exit code of a kept command that always ends so, and how often it ran."""
    command = [sys.executable, "-c", NOTE_AND_END, str(notes), str(exit_code)]
    code = Keeper(command, restart_s=0.0).run()
    return code, len(notes.read_text())


@pytest.mark.parametrize(
    ("exit_code", "times"),
    [
        pytest.param(0, 1, id="it ended on purpose"),
        pytest.param(2, 1, id="its settings are wrong"),
        pytest.param(1, MOST_DEATHS, id="it dies again and again"),
    ],
)
def test_a_command_runs_again_only_when_it_died(tmp_path: Path, exit_code: int, times: int) -> None:
    assert runs(tmp_path / "notes", exit_code) == (exit_code, times)


def test_a_killed_command_is_started_again_and_ends_when_told(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-c", NOTE_AND_STAY, str(notes)]
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.local.keep_running", *command], stderr=subprocess.DEVNULL
    ) as keeper:
        first = wait_for_run(notes, 1)

        os.kill(first, signal.SIGKILL)
        second = wait_for_run(notes, 2)
        keeper.terminate()

        assert keeper.wait(timeout=10) == 128 + signal.SIGTERM
    assert first != second
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


def wait_for_run(notes: Path, number: int) -> int:
    end = time.monotonic() + 10
    while len(pids := notes.read_text().split()) < number:
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(pids[number - 1])


def test_a_command_that_does_not_end_when_told_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    keep = "import signal, sys; from deploy.local.keep_running import Keeper;"
    keep += "k = Keeper(sys.argv[1:], kill_after_s=0.2); signal.signal(signal.SIGTERM, k.stop);"
    keep += "signal.signal(signal.SIGALRM, k.kill); sys.exit(k.run())"
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {NOTE_AND_STAY}"
    command = [sys.executable, "-c", keep, sys.executable, "-c", stubborn, str(notes)]
    with subprocess.Popen(command) as keeper:
        kept = wait_for_run(notes, 1)

        keeper.terminate()

        assert keeper.wait(timeout=10) == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(kept, 0)


def test_a_command_is_told_to_end_when_its_keeper_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-m", "deploy.local.keep_running"]
    with subprocess.Popen([*command, sys.executable, "-c", NOTE_AND_STAY, str(notes)]) as keeper:
        kept = wait_for_run(notes, 1)

        keeper.kill()

    assert wait_until(lambda: not Path(f"/proc/{kept}").exists(), timeout_s=10)
