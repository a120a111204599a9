"""Terminals and streams that a test scripts. Their two sides run in threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from services.lxd_worker.consoles import ConsoleSessions
from shared.contracts.consoles import OpenConsole
from shared.contracts.errors import FleetError
from shared.contracts.streams import Resize
from tests.support.polling import wait_until

PATIENCE_S = 5.0


class Beside:
    """A function that runs in a thread."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(PATIENCE_S)


def in_a_thread(work: Callable[[], None]) -> Beside:
    """Run it in a thread of its own."""
    return Beside(work)


class FakeTerminal:
    """Shows `shows`; then its process ends with `ends_with`, or it fails, or it waits."""

    def __init__(
        self,
        shows: Iterable[bytes] = (),
        *,
        ends_with: int | None = None,
        fails_with: FleetError | None = None,
    ) -> None:
        self.got: list[bytes | Resize] = []
        self.closed = False
        self._shows = shows
        self._ends_with = ends_with
        self._fails_with = fails_with
        self._hung_up = threading.Event()

    @property
    def hung_up(self) -> bool:
        """Whether somebody has hung up."""
        return self._hung_up.is_set()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._shows
        if self._fails_with is not None:
            raise self._fails_with
        if self._ends_with is None:
            self._hung_up.wait(PATIENCE_S)

    def write(self, data: bytes) -> None:
        self.got.append(data)

    def resize(self, size: Resize) -> None:
        self.got.append(size)

    def hang_up(self) -> None:
        self._hung_up.set()

    def exit_status(self) -> int | None:
        assert self.hung_up
        return self._ends_with

    def close(self) -> None:
        assert self.hung_up
        self.closed = True


class FakeStream:
    """Brings `typed`, then waits until it is lost or closed; takes all that is sent, or `takes`.

    `waits` are the seconds for which it was to be waited then.

    Not `ends`: the other end never says that it has all.
    """

    def __init__(
        self, typed: Sequence[bytes | Resize] = (), *, takes: int = 1000, ends: bool = True
    ) -> None:
        self.sent: list[bytes] = []
        self.ended_with: int | None = None
        self.aborted_with: FleetError | None = None
        self.lost: Callable[[], None] = lambda: None
        self._came: queue.SimpleQueue[bytes | Resize | None] = queue.SimpleQueue()
        for frame in (*typed, *([None] if typed else [])):
            self._came.put(frame)
        self.takes = takes
        self.waits: list[float | None] = []
        self._ends = ends
        self._failure: FleetError | None = None
        self._over = threading.Event()

    def __iter__(self) -> Iterator[bytes | Resize]:
        while (frame := self._came.get(timeout=PATIENCE_S)) is not None:
            yield frame
        if self._failure:
            raise self._failure

    def send(self, data: bytes, within_s: float | None = None) -> int:
        if len(self.sent) >= self.takes:
            self.waits.append(within_s)
            self._over.wait(PATIENCE_S if within_s is None else 0)
        if self._failure:
            raise self._failure
        if len(self.sent) >= self.takes:
            return 0
        self.sent.append(data)
        return len(data)

    def end(self, exit_status: int | None) -> None:
        if not self._ends:
            self._over.wait(PATIENCE_S)
        if self._failure:
            raise self._failure
        self.ended_with = exit_status

    def abort(self, error: FleetError) -> None:
        self.aborted_with = error

    def close(self) -> None:
        self._came.put(None)

    def lose(self, failure: FleetError) -> None:
        """Let the other end be gone."""
        self._failure = failure
        self._came.put(None)
        self._over.set()
        self.lost()


@dataclass
class Seats:
    """Gives everybody `terminal` and `stream`; `refusal` is raised instead of giving a stream."""

    terminal: FakeTerminal = field(default_factory=FakeTerminal)
    stream: FakeStream = field(default_factory=FakeStream)
    refusal: FleetError | None = None
    opened: list[OpenConsole] = field(default_factory=list)

    def open(self, request: OpenConsole) -> FakeTerminal:
        self.opened.append(request)
        return self.terminal

    def open_stream(self, stream: str, lost: Callable[[], None]) -> FakeStream:
        if self.refusal is not None:
            raise self.refusal
        self.stream.lost = lost
        return self.stream


def wait_until_left(consoles: ConsoleSessions) -> None:
    """Return when nobody sits at any console."""
    wait_until(lambda: not consoles.reserved, every_s=0.005)
