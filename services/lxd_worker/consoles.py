"""Opens terminals for viewers far away, and carries the bytes both ways until one side ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from services.lxd_worker.instances.observation import meant
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.ports import (
    ConsoleStream,
    Lxd,
    OpenConsoleStream,
    SpawnTask,
    Terminal,
    Terminals,
    WorkerClock,
)
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

LOOK_AGAIN_S = 0.05
# A guest that cannot print for longer seems to be broken: LXD gets no answer from its monitor.
PATIENCE_S = 1.0
# The most that leaving a text console takes.
LEAVING_S = 2.0


@dataclass(slots=True)
class ConsoleRelay:
    """Carries bytes between a terminal and a stream, and counts them.

    Where the terminal is `shared`, what it shows is for others, too, and for LXD itself: who does
    not look for more than `PATIENCE_S` misses what comes meanwhile, and is told how much.
    """

    terminal: Terminal
    stream: ConsoleStream
    shared: bool
    typed: int = 0
    shown: int = 0
    missed: int = 0
    untold: int = 0
    left: bool = False

    def run(self, beside: SpawnTask) -> str:
        """Carry until either side ends, then close both; return why it ended."""
        typing = beside(self._type)
        try:
            self._show()
        except FleetError as exc:
            self.stream.call_off(exc)
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
        notice = f"\r\n[{self.untold} bytes were not shown]\r\n".encode() if self.untold else b""
        sent = self.stream.send(notice + data, 0 if self.untold else PATIENCE_S)
        shown = max(0, sent - len(notice))
        self.shown += shown
        self.missed += len(data) - shown
        self.untold = len(data) - shown + (0 if sent else self.untold)

    def _type(self) -> None:
        try:
            for frame in self.stream:
                self._hand_over(frame)
        except (FleetError, OSError) as exc:
            log.debug("nothing more is typed", extra={"reason": str(exc)})
        finally:
            # Whoever only shows would not notice that its viewer has gone.
            self.leave()

    def _hand_over(self, frame: bytes | Resize) -> None:
        if isinstance(frame, Resize):
            self.terminal.resize(frame)
        else:
            self.terminal.write(frame)
            self.typed += len(frame)


@dataclass(frozen=True, slots=True)
class ConsoleSessions:
    """The consoles that are open on this host, `most` at a time."""

    host: str
    lxd: Lxd
    terminals: Terminals
    open_stream: OpenConsoleStream
    clock: WorkerClock
    beside: SpawnTask
    most: int
    scope: LxdScope
    taken: dict[str, OpenConsole] = field(default_factory=dict)
    connected: dict[str, ConsoleRelay] = field(default_factory=dict)

    def open(self, request: OpenConsole) -> None:
        """Open one; errors as `LxdWorker.open_console` lists them."""
        self._wait_while(lambda: self._is_being_left(request), LEAVING_S)
        self._take(request)
        with ExitStack() as undo:
            undo.callback(self.taken.pop, request.stream)
            self._check(request)
            relay = self._connect(request)
            undo.pop_all()
        self.connected[request.stream] = relay
        self.beside(lambda: self._serve(request, relay))

    def close_all(self, within_s: float) -> None:
        """Let everybody leave; return when they have, or after these seconds."""
        for relay in list(self.connected.values()):
            relay.leave()
        self._wait_while(lambda: bool(self.connected), within_s)

    def _wait_while(self, it_is_so: Callable[[], bool], within_s: float) -> None:
        ends_at = self.clock.monotonic() + within_s
        while it_is_so() and self.clock.monotonic() < ends_at:
            self.clock.sleep(LOOK_AGAIN_S)

    def _is_being_left(self, request: OpenConsole) -> bool:
        """Tell whether somebody is just leaving the place that is wanted, as with a reload."""
        return request.type is ConsoleType.CONSOLE and any(
            relay.left and _same_console(request, self.taken[stream])
            for stream, relay in self.connected.items()
        )

    def _take(self, request: OpenConsole) -> None:
        """Keep a place, before anything that others could overtake."""
        if len(self.taken) >= self.most:
            raise TooManyConsoles(self.host, str(self.most))
        if request.type is ConsoleType.CONSOLE and any(
            _same_console(request, other) for other in self.taken.values()
        ):
            raise ConsoleInUse(request.name)
        self.taken[request.stream] = request

    def _check(self, request: OpenConsole) -> None:
        check_name(request.name)
        served = self.scope.serves(request.project)
        seen = self.lxd.glance(request.project, request.name) if served else None
        if not meant(seen, request.name, request.uuid).running:
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
        said = _audit(request)
        log.info("console opened", extra=said)
        began = self.clock.monotonic()
        try:
            said["reason"] = relay.run(self.beside)
        finally:
            del self.taken[request.stream], self.connected[request.stream]
            took_s = round(self.clock.monotonic() - began, 1)
            counts = {"typed": relay.typed, "shown": relay.shown, "missed": relay.missed}
            log.info("console closed", extra=said | counts | {"took_s": took_s})


def _same_console(one: OpenConsole, other: OpenConsole) -> bool:
    return (one.type, one.project, one.name) == (other.type, other.project, other.name)


def _audit(request: OpenConsole) -> dict[str, object]:
    """Return who sits where; never what is typed or shown."""
    return {
        "principal": request.principal,
        "address": request.address,
        "project": request.project,
        "instance": request.name,
        "type": request.type.value,
        "stream": request.stream,
    }
