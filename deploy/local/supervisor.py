"""Run a fleet's services in the foreground, restart those that die, and stop all in order.

A service that exits on purpose is not restarted: its work is done, or its settings are invalid
(exit code 2). Nor is one that dies again and again, so that its errors are read. When one has ended
for good, or on a signal, all services get a SIGTERM, and those that do not end in time are killed.
`run` returns once none is left, so that its caller can stop what they depend on. Nothing else ends
it, in particular no output that fails. If the supervisor itself is killed, the kernel sends the
services a SIGTERM.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TextIO

from deploy.local import processes
from deploy.local.services import Service

ROOT = Path(__file__).resolve().parents[2]
# Longer than the 30 s that a service may take to finish its running calls.
STOP_TIMEOUT_S = 40.0
RESTART_S = 1.0
WRONG_SETTINGS = 2
# A service that ran at least this long has worked; its death counts as the first.
WORKED_S = 30.0
MOST_DEATHS = 5
# How long a killed process may take to end; one that waits for a dead disk never does.
KILL_TIMEOUT_S = 5.0
# Longer lines are cut into several.
MAX_LINE = 64 * 1024
READ_BYTES = 64 * 1024
CHORES_S = 60.0
STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True, eq=False)
class _Child:
    """A run of a service, whose process group and pipe include all processes that it starts.

    `deaths` is how often it has died in a row, `restart_at` when to restart it.
    """

    service: Service
    process: subprocess.Popen[bytes]
    output: int
    colour: int
    deaths: int = 0
    started_at: float = field(default_factory=time.monotonic)
    restart_at: float = inf
    line: bytes = b""
    open: bool = True

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def ended(self) -> int | None:
        """Return its exit code if it has ended; do not reap it, which would free its pid."""
        result = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        killed = result.si_code != os.CLD_EXITED
        return 128 + result.si_status if killed else result.si_status

    def kill(self) -> None:
        """Kill it and all processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor:
    """Runs services and prints their output, each line with the time and the service's name.

    It calls `chores` once a minute.
    """

    def __init__(
        self,
        output: TextIO,
        *,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        restart_s: float = RESTART_S,
        chores: Callable[[], None] = lambda: None,
    ) -> None:
        self._output = output
        self._stop_timeout_s = stop_timeout_s
        self._restart_s = restart_s
        self._chores = chores
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        self._width = len("system")
        self._interrupts = 0

    def run(self, services: Sequence[Service]) -> int:
        """Run them until one ends for good or a signal arrives; return the exit code.

        Stopping has a time limit; a second Ctrl-C ends it at once.
        """
        self._width = max(len(name) for name in ("system", *(one.name for one in services)))
        with _signals_as_bytes() as signals, self._selector:
            self._selector.register(signals, selectors.EVENT_READ)
            try:
                for number, service in enumerate(services):
                    self._children.append(self._start(service, 31 + number % 6))
                return self._wait_for_end()
            finally:
                self._stop()

    def _start(self, service: Service, colour: int, deaths: int = 0) -> _Child:
        output, its_end = os.pipe()
        process = subprocess.Popen(
            processes.end_with_parent(service.command),
            env=dict(service.env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(its_end)
        child = _Child(service, process, output, colour, deaths)
        self._selector.register(output, selectors.EVENT_READ, child)
        self._log(f"{service.name} started (pid {process.pid})")
        return child

    def _wait_for_end(self) -> int:
        next_chores = time.monotonic()
        while True:
            if time.monotonic() >= next_chores:
                self._chores()
                next_chores = time.monotonic() + CHORES_S
            for number in self._relay(
                min(next_chores, *(one.restart_at for one in self._children))
            ):
                if number in STOP_SIGNALS:
                    self._log(f"{signal.Signals(number).name} received")
                    return 128 + number
            for child in list(self._children):
                if time.monotonic() >= child.restart_at:
                    self._restart(child)
                elif child.restart_at == inf and (code := child.ended()) is not None:
                    self._log(f"{child.name} ended with {code}")
                    if not self._schedule_restart(child, code):
                        return code

    def _schedule_restart(self, child: _Child, code: int) -> bool:
        """Schedule the restart of a service that died; return False if it has ended for good."""
        if code in {0, WRONG_SETTINGS}:
            return False
        lived_s = time.monotonic() - child.started_at
        child.deaths = 1 if lived_s > WORKED_S else child.deaths + 1
        if child.deaths == MOST_DEATHS:
            self._log(f"{child.name} has died {MOST_DEATHS} times in a row, giving up")
            return False
        child.kill()
        child.restart_at = time.monotonic() + self._restart_s
        return True

    def _restart(self, child: _Child) -> None:
        # First, before anything can fail: a signal must never go to a reused pid.
        self._children.remove(child)
        self._close(child)
        self._children.append(self._start(child.service, child.colour, child.deaths))

    def _stop(self) -> None:
        self._log("stopping the services")
        for child in self._children:
            # Not with `Popen`, which would reap a process that has ended.
            os.kill(child.process.pid, signal.SIGTERM)
        # A second Ctrl-C ends the wait.
        self._relay_until(lambda: self._all_gone() or self._interrupts > 1, self._stop_timeout_s)
        for child in self._children:
            if not _is_gone(child):
                self._log(f"{child.name} has not ended, killing it")
            child.kill()
        self._relay_until(self._all_gone, KILL_TIMEOUT_S)
        for child in self._children:
            self._close(child)
        self._log("all services have ended")

    def _all_gone(self) -> bool:
        return all(_is_gone(child) for child in self._children)

    def _relay_until(self, reached: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached() and time.monotonic() < deadline:
            self._relay(deadline)

    def _relay(self, until: float) -> bytes:
        """Wait for output or signals; print the output, return the signals' numbers."""
        signals = b""
        for key, _ in self._selector.select(max(0.0, until - time.monotonic())):
            if key.data is None:
                signals = os.read(key.fd, READ_BYTES)
                self._interrupts += signals.count(signal.SIGINT)
            else:
                self._read(key.data)
        return signals

    def _read(self, child: _Child) -> None:
        read = os.read(child.output, READ_BYTES)
        if not read:
            child.open = False
            self._selector.unregister(child.output)
        *lines, child.line = (child.line + read).split(b"\n")
        for line in lines:
            self._print(child.name, line, child.colour)
        if len(child.line) > MAX_LINE:
            self._end_line(child)

    def _close(self, child: _Child) -> None:
        """Print the rest of its last line, reap it and close its pipe."""
        self._end_line(child)
        if child.open:
            self._selector.unregister(child.output)
        child.process.poll()
        os.close(child.output)

    def _end_line(self, child: _Child) -> None:
        if child.line:
            self._print(child.name, child.line, child.colour)
            child.line = b""

    def _log(self, text: str) -> None:
        self._print("system", text.encode(), 37)

    def _print(self, name: str, line: bytes, colour: int) -> None:
        head = f"{datetime.now():%H:%M:%S} {name:{self._width}} | "
        if self._output.isatty():
            head = f"\033[{colour}m{head}\033[0m"
        # In one write, so that no other thread's line comes in between.
        self._output.write(f"{head}{line.decode(errors='replace')}\n")
        self._output.flush()


def _is_gone(child: _Child) -> bool:
    """Return whether the service has ended, with all its processes that could still print."""
    return child.ended() is not None and not child.open


@contextmanager
def _signals_as_bytes() -> Iterator[socket.socket]:
    """Yield a socket from which each signal is read as a byte, so that none interrupts anything.

    A hang-up that our caller ignores (`nohup`) stays ignored.
    """
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        ignore_signals()
        signal.signal(signal.SIGCHLD, _ignore)
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def ignore_signals() -> None:
    """Ignore the signals that request an end, in this process but not in its children."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ignore)


def _ignore(*_: object) -> None:
    # Unlike SIG_IGN, child processes do not inherit this.
    pass
