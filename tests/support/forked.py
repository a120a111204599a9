"""Starts programs of one service as forks of a process that has imported it: `Forks` and `Forked`.

A worker spends more than a second of CPU on its imports, and tests start it some hundred times. Run
as `python -m tests.support.forked PACKAGE` this is the process that is forked. A program begins
there as by `python`: with its own arguments, environment, output and directory.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Before the service makes them green.
_fork, _waitpid = os.fork, os.waitpid


class Program(NamedTuple):
    """What is to be run: arguments as `python` takes them, `-m MODULE` or a script's path first."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    log: str
    # A FIFO: it tells the number of the process, and then how that ended.
    end: str


class Forked:
    """A program that runs, or has ended; see `subprocess.Popen` for the methods."""

    def __init__(self, told: Path) -> None:
        self._told = told.open("rb", buffering=0)
        self.pid = int(self._line())
        self._status: int | None = None

    def send_signal(self, number: int) -> None:
        if self._status is None and not self._ends_within(0):
            os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int:
        """Return the exit status; one below zero is a signal's number."""
        if self._status is None:
            if not self._ends_within(timeout_s):
                raise subprocess.TimeoutExpired(str(self.pid), timeout_s)
            self._status = os.waitstatus_to_exitcode(int(self._line()))
            self._told.close()
        return self._status

    def _ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._told], [], [], seconds)[0])

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._told.read(1) or b"\n"
        return line


class Forks:
    """The process that has imported a package, and is forked for each program."""

    def __init__(self, package: str, directory: Path) -> None:
        command = [sys.executable, "-m", __name__, package]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=directory)
        self._folder = tempfile.TemporaryDirectory()

    def start(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> Forked:
        """Run a program; its log is there at once."""
        end = Path(tempfile.mktemp(dir=self._folder.name))  # noqa: S306, the folder is ours alone
        os.mkfifo(end)
        log.touch()
        order = json.dumps(Program(arguments, env, str(log), str(end)))
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        self._process.stdin.flush()
        return Forked(end)

    def close(self) -> None:
        """End the process, not its programs."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()


def _programs_asked_for() -> Iterator[Program]:
    with os.fdopen(os.dup(0), "rb", buffering=0) as lines:
        while line := lines.readline():
            yield Program(*json.loads(line))


def _forked_for(program: Program) -> bool:
    """Fork a process that runs a program, below one that tells of it; return whether this is it."""
    if _fork():
        return False
    if pid := _fork():
        with Path(program.end).open("wb", buffering=0) as told:
            told.write(b"%d\n" % pid)
            told.write(b"%d\n" % _waitpid(pid, 0)[1])
        os._exit(0)
    return True


def _reap() -> None:
    with suppress(ChildProcessError):
        while _waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(program: Program) -> None:
    """Make this process what it would be if `python` had been started for the program."""
    os.environ.clear()
    os.environ.update(program.env)
    for opened, number in ((os.open(os.devnull, os.O_RDONLY), 0), (_opened(program.log), 1)):
        os.dup2(opened, number)
    os.dup2(1, 2)
    if "eventlet" in sys.modules:
        # What the other one had waited by is shared with it.
        sys.modules["eventlet.hubs"].use_hub()
    first, *others = program.arguments
    if first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


def _opened(log: str) -> int:
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _serve(package: str) -> None:
    importlib.import_module(f"{package}.__main__")
    del sys.modules[f"{package}.__main__"]  # each program imports it as its own
    for program in _programs_asked_for():
        if _forked_for(program):
            return _become(program)
        _reap()
    return None


if __name__ == "__main__":
    _serve(sys.argv[1])
