"""Opens terminals for clients far away, and relays the bytes both ways until one side ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.instances.observation import require_instance
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.protocols import Lxd
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.contracts.errors import (
    ConsoleInUse,
    FleetError,
    InstanceNotRunning,
    TooManyConsoles,
)
from shared.contracts.streams import Resize
from shared.lxd.scope import LxdScope

log = logging.getLogger(__name__)

POLL_S = 0.05
# A guest that cannot print for longer seems broken: LXD gets no answer from its monitor.
PATIENCE_S = 1.0
# The longest that leaving a text console takes.
LEAVING_S = 2.0


class Terminal(Protocol):
    """A terminal of an instance: bytes both ways."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield its output until its process ends, LXD goes away, or `hang_up` is called."""

    def write(self, data: bytes) -> None:
        """Write to its input; return once that was accepted. Raises OSError if nobody is there."""

    def resize(self, size: Resize) -> None:
        """Change its size; raises OSError if nobody is there."""

    def hang_up(self) -> None:
        """Leave: its process is killed, others may open it, and whoever waits here wakes up."""

    def exit_status(self) -> int | None:
        """Return the exit status of its process, after `hang_up`.

        None if the process had not ended by itself, or LXD does not report it.
        """

    def close(self) -> None:
        """Release its sockets; nobody may use it any more."""


class Terminals(Protocol):
    """The terminals of the host's instances."""

    def open(self, request: OpenConsole) -> Terminal:
        """Open one; raises InstanceNotFound, LxdRefused, LxdUnavailable."""


class ConsoleStream(Protocol):
    """This host's end of a byte stream.

    Methods raise StreamLost if the other end is gone, or the error with which it aborted.
    """

    def __iter__(self) -> Iterator[bytes | Resize]:
        """Yield what the other end sends, until its end.

        It is granted credit for more when the next item is asked for.
        """

    def send(self, data: bytes, within_s: float | None = None) -> int:
        """Send bytes as the other end grants credit for them; return how many were sent.

        That is all of them, unless there was no credit for longer than `within_s`.
        """

    def end(self, exit_status: int | None) -> None:
        """Announce the end; return once the other end has announced its own."""

    def abort(self, error: FleetError) -> None:
        """Tell the other end, if it is still there, why nothing more will come; never raises."""

    def close(self) -> None:
        """Leave; never raises."""


class OpenConsoleStream(Protocol):
    """Opens this host's end of a stream."""

    def __call__(self, stream: str, lost: Callable[[], None]) -> ConsoleStream:
        """Return the end of a stream; `lost` is called as soon as the other end is gone.

        Raises BrokerUnavailable.
        """


class BackgroundTask(Protocol):
    """A function that runs in the background."""

    def wait(self) -> None:
        """Return once it has ended."""


# Runs a function in the background and returns at once.
SpawnTask = Callable[[Callable[[], None]], BackgroundTask]


@dataclass(slots=True)
class ConsoleRelay:
    """Relays bytes between a terminal and a stream, and counts them.

    The output of a `shared` terminal is for others and for LXD as well: a client that does not read
    for more than `PATIENCE_S` misses what comes meanwhile, and is told how much that was.
    """

    terminal: Terminal
    stream: ConsoleStream
    shared: bool
    typed: int = 0
    shown: int = 0
    missed: int = 0
    unreported: int = 0
    left: bool = False

    def run(self, spawn: SpawnTask) -> str:
        """Relay until either side ends, then close both; return why it ended."""
        typing = spawn(self._type)
        try:
            self._show()
        except FleetError as exc:
            self.stream.abort(exc)
            return exc.code
        else:
            return "ended"
        finally:
            self.leave()
            self.stream.close()
            typing.wait()
            self.terminal.close()

    def leave(self) -> None:
        """Hang up; the rest takes a moment."""
        self.left = True
        self.terminal.hang_up()

    def _show(self) -> None:
        show = self._show_in_time if self.shared else self._show_all
        for data in self.terminal:
            show(data)
        self.terminal.hang_up()
        self.stream.end(self.terminal.exit_status())

    def _show_all(self, data: bytes) -> None:
        self.shown += self.stream.send(data)

    def _show_in_time(self, data: bytes) -> None:
        notice = (
            f"\r\n[{self.unreported} bytes were not shown]\r\n".encode() if self.unreported else b""
        )
        sent = self.stream.send(notice + data, 0 if self.unreported else PATIENCE_S)
        shown = max(0, sent - len(notice))
        self.shown += shown
        self.missed += len(data) - shown
        self.unreported = len(data) - shown + (0 if sent else self.unreported)

    def _type(self) -> None:
        try:
            for frame in self.stream:
                self._forward(frame)
        except (FleetError, OSError) as exc:
            log.debug("nothing more is typed", extra={"reason": str(exc)})
        finally:
            # A terminal that only prints would not notice that its client is gone.
            self.leave()

    def _forward(self, frame: bytes | Resize) -> None:
        if isinstance(frame, Resize):
            self.terminal.resize(frame)
        else:
            self.terminal.write(frame)
            self.typed += len(frame)


@dataclass(frozen=True, slots=True)
class ConsoleSessions:
    """The open consoles of this host, at most `most` at a time."""

    host: str
    lxd: Lxd
    terminals: Terminals
    open_stream: OpenConsoleStream
    clock: WorkerClock
    spawn: SpawnTask
    most: int
    scope: LxdScope
    reserved: dict[str, OpenConsole] = field(default_factory=dict)
    connected: dict[str, ConsoleRelay] = field(default_factory=dict)

    def open(self, request: OpenConsole) -> None:
        """Open one; errors as listed in `WorkerClient.open_console`."""
        self._wait_while(lambda: self._is_being_left(request), LEAVING_S)
        self._reserve(request)
        with ExitStack() as undo:
            undo.callback(self.reserved.pop, request.stream)
            self._check(request)
            relay = self._connect(request)
            undo.pop_all()
        self.connected[request.stream] = relay
        self.spawn(lambda: self._serve(request, relay))

    def close_all(self, within_s: float) -> None:
        """Hang up all consoles; return once they are closed, or after these seconds."""
        for relay in list(self.connected.values()):
            relay.leave()
        self._wait_while(lambda: bool(self.connected), within_s)

    def _wait_while(self, condition: Callable[[], bool], within_s: float) -> None:
        ends_at = self.clock.monotonic() + within_s
        while condition() and self.clock.monotonic() < ends_at:
            self.clock.sleep(POLL_S)

    def _is_being_left(self, request: OpenConsole) -> bool:
        """Whether the console is just being left by somebody, as when a page is reloaded."""
        return request.type is ConsoleType.CONSOLE and any(
            relay.left and _same_console(request, self.reserved[stream])
            for stream, relay in self.connected.items()
        )

    def _reserve(self, request: OpenConsole) -> None:
        """Reserve a place, before anything during which another greenthread could run."""
        if len(self.reserved) >= self.most:
            raise TooManyConsoles(self.host, str(self.most))
        if request.type is ConsoleType.CONSOLE and any(
            _same_console(request, other) for other in self.reserved.values()
        ):
            raise ConsoleInUse(request.name)
        self.reserved[request.stream] = request

    def _check(self, request: OpenConsole) -> None:
        check_name(request.name)
        served = self.scope.serves(request.project)
        observed = self.lxd.observe_briefly(request.project, request.name) if served else None
        if not require_instance(observed, request.name, request.uuid).running:
            raise InstanceNotRunning(request.name)

    def _connect(self, request: OpenConsole) -> ConsoleRelay:
        terminal = self.terminals.open(request)
        try:
            return ConsoleRelay(
                terminal,
                self.open_stream(request.stream, terminal.hang_up),
                shared=request.type is ConsoleType.CONSOLE,
            )
        except FleetError:
            terminal.hang_up()
            terminal.close()
            raise

    def _serve(self, request: OpenConsole, relay: ConsoleRelay) -> None:
        audit = _audit(request)
        log.info("console opened", extra=audit)
        began = self.clock.monotonic()
        try:
            audit["reason"] = relay.run(self.spawn)
        finally:
            del self.reserved[request.stream], self.connected[request.stream]
            took_s = round(self.clock.monotonic() - began, 1)
            counts = {"typed": relay.typed, "shown": relay.shown, "missed": relay.missed}
            log.info("console closed", extra=audit | counts | {"took_s": took_s})


def _same_console(one: OpenConsole, other: OpenConsole) -> bool:
    return (one.type, one.project, one.name) == (other.type, other.project, other.name)


def _audit(request: OpenConsole) -> dict[str, object]:
    """Return who uses which console; never what is typed or shown."""
    return {
        "principal": request.principal,
        "address": request.address,
        "project": request.project,
        "instance": request.name,
        "type": request.type.value,
        "stream": request.stream,
    }
