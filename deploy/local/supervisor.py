"""Runs a fleet's services in the foreground, each again when it dies, and stops them in order.

A service that ends on purpose stays ended: its work is done, or its settings are wrong (exit code
2). One that dies again and again is given up, so that its complaint is read. When one has ended for
good, or a signal says so, all are told to end (SIGTERM), and those that have not ended in time are
killed. `run` returns only when none is left, so that its caller may stop what they stand on.
Nothing but these events ends it; in particular no output that fails. When the supervisor itself is
killed, the kernel tells the services to end.
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
# Longer than a service takes to end in order, with calls in hand: 30 s.
STOP_TIMEOUT_S = 40.0
RESTART_S = 1.0
WRONG_SETTINGS = 2
# A service that lived at least this long has worked; its death counts as the first.
WORKED_S = 30.0
MOST_DEATHS = 5
# How long a killed process may take to be gone; one that waits for a dead disk stays.
KILL_TIMEOUT_S = 5.0
# Longer lines are cut into several.
MAX_LINE = 64 * 1024
READ_BYTES = 64 * 1024
CHORES_S = 60.0
STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True, eq=False)
class _Child:
    """A run of a service: all that it starts is in its process group and holds its pipe.

    `deaths` is how often it has died in a row, `again_at` when it is to be started again.
    """

    service: Service
    process: subprocess.Popen[bytes]
    output: int
    colour: int
    deaths: int = 0
    began: float = field(default_factory=time.monotonic)
    again_at: float = inf
    line: bytes = b""
    open: bool = True

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def ended(self) -> int | None:
        """Return its exit code when it has ended, and keep its number from being given away."""
        found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        killed = found.si_code != os.CLD_EXITED
        return 128 + found.si_status if killed else found.si_status

    def kill(self) -> None:
        """Kill it, and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor:
    """Runs services and prints what they print, each line with the time and the service's name.

    `chores` is called once a minute.
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
        """Run them until one ends for good or a signal says to stop; return what to exit with.

        Signals that arrive afterwards are ignored: what is stopped then has a time limit.
        """
        self._width = max(len(name) for name in ("system", *(one.name for one in services)))
        with _signals_as_bytes() as signals, self._selector:
            self._selector.register(signals, selectors.EVENT_READ)
            try:
                for number, service in enumerate(services):
                    self._children.append(self._start(service, 31 + number % 6))
                return self._wait_for_an_end()
            finally:
                self._stop()

    def _start(self, service: Service, colour: int, deaths: int = 0) -> _Child:
        output, its_end = os.pipe()
        process = subprocess.Popen(
            processes.until_parent_ends(service.command),
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
        self._say(f"{service.name} started (pid {process.pid})")
        return child

    def _wait_for_an_end(self) -> int:
        next_chores = time.monotonic()
        while True:
            if time.monotonic() >= next_chores:
                self._chores()
                next_chores = time.monotonic() + CHORES_S
            for number in self._relay(min(next_chores, *(one.again_at for one in self._children))):
                if number in STOP_SIGNALS:
                    self._say(f"{signal.Signals(number).name} received")
                    return 128 + number
            for child in list(self._children):
                if time.monotonic() >= child.again_at:
                    self._start_again(child)
                elif child.again_at == inf and (code := child.ended()) is not None:
                    self._say(f"{child.name} ended with {code}")
                    if not self._schedule_restart(child, code):
                        return code

    def _schedule_restart(self, child: _Child, code: int) -> bool:
        """Have a service that has died started again; return False where it is to stay ended."""
        if code in {0, WRONG_SETTINGS}:
            return False
        lived_s = time.monotonic() - child.began
        child.deaths = 1 if lived_s > WORKED_S else child.deaths + 1
        if child.deaths == MOST_DEATHS:
            self._say(f"{child.name} has died {MOST_DEATHS} times in a row, given up")
            return False
        child.kill()
        child.again_at = time.monotonic() + self._restart_s
        return True

    def _start_again(self, child: _Child) -> None:
        # Before anything can fail: nothing is to be sent to a number that was given back.
        self._children.remove(child)
        self._close(child)
        self._children.append(self._start(child.service, child.colour, child.deaths))

    def _stop(self) -> None:
        self._say("stopping the services")
        for child in self._children:
            # Not by `Popen`, which would reap what has ended.
            os.kill(child.process.pid, signal.SIGTERM)
        # A second Ctrl-C ends the waiting.
        self._relay_until(lambda: self._all_gone() or self._interrupts > 1, self._stop_timeout_s)
        for child in self._children:
            if not _is_gone(child):
                self._say(f"{child.name} has not ended, killed")
            child.kill()
        self._relay_until(self._all_gone, KILL_TIMEOUT_S)
        for child in self._children:
            self._close(child)
        self._say("all services have ended")

    def _all_gone(self) -> bool:
        return all(_is_gone(child) for child in self._children)

    def _relay_until(self, reached: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached() and time.monotonic() < deadline:
            self._relay(deadline)

    def _relay(self, until: float) -> bytes:
        """Wait for output or a signal; print the one, return the numbers of the others."""
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
        """Print the rest of its last line, and give its number and its pipe back."""
        self._end_line(child)
        if child.open:
            self._selector.unregister(child.output)
        child.process.poll()
        os.close(child.output)

    def _end_line(self, child: _Child) -> None:
        if child.line:
            self._print(child.name, child.line, child.colour)
            child.line = b""

    def _say(self, text: str) -> None:
        self._print("system", text.encode(), 37)

    def _print(self, name: str, line: bytes, colour: int) -> None:
        head = f"{datetime.now():%H:%M:%S} {name:{self._width}} | "
        if self._output.isatty():
            head = f"\033[{colour}m{head}\033[0m"
        # At once, so that no other thread's line comes in between.
        self._output.write(f"{head}{line.decode(errors='replace')}\n")
        self._output.flush()


def _is_gone(child: _Child) -> bool:
    """Tell whether the service has ended, and whatever it started that could still print."""
    return child.ended() is not None and not child.open


@contextmanager
def _signals_as_bytes() -> Iterator[socket.socket]:
    """Give a socket from which each signal can be read as a byte, so that none interrupts anything.

    A hang-up that our caller has told us to ignore (`nohup`) stays ignored.
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
    """Let none of the signals that ask for an end interrupt this program, and only this one."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ignore)


def _ignore(*_: object) -> None:
    # Unlike SIG_IGN this is not inherited by what we start.
    pass
