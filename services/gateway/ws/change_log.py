"""One topic's present state and its newest changes, numbered.

The changes are kept once, for everybody: a viewer holds its position among them and nothing else,
so how slow it is costs no memory. The oldest changes go when there are too many; a viewer that is
still before them has to begin anew.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple, Protocol
from weakref import WeakSet

MOST_BYTES = 16 * 2**20
# What one entry of a change costs beside its text.
ENTRY_BYTES = 200


class LogEntry(NamedTuple):
    """One thing, encoded; `text` is None when it is gone. Filters ask for the rest but the key."""

    key: str
    host: str
    name: str
    text: bytes | None
    project: str = ""


class LogChange(NamedTuple):
    """What changed at one time."""

    sequence: int
    entries: tuple[LogEntry, ...]

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        return sum(ENTRY_BYTES + len(entry.text or b"") for entry in self.entries)


class ChangeReader(Protocol):
    """Who is told of changes."""

    def notice(self, change: LogChange) -> None:
        """Take a change; must not fail."""


class ChangeLog:
    """The log of one topic. `id` is like no other log's, of this gateway or of any."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.id = secrets.token_hex(8)
        self.sequence = 0
        self.present: dict[str, LogEntry] = {}
        self._changes: deque[LogChange] = deque()
        self._bytes = 0
        self._most_bytes = most_bytes
        # Told of every change, for as long as somebody else keeps them.
        self.readers: WeakSet[ChangeReader] = WeakSet()

    def take(self, candidates: Iterable[LogEntry]) -> None:
        """Note what differs from the present state; what does not is nothing new."""
        entries = tuple(entry for entry in candidates if self._differs(entry))
        if not entries:
            return
        self.sequence += 1
        for entry in entries:
            self._put(entry)
        self._keep(LogChange(self.sequence, entries))

    def since(self, position: int) -> dict[str, LogEntry] | None:
        """Return the newest entry of all that changed after a position; None: it is too old."""
        if position < self.sequence - len(self._changes):
            return None
        missed = list(takewhile(lambda c: c.sequence > position, reversed(self._changes)))
        return {entry.key: entry for change in reversed(missed) for entry in change.entries}

    def _differs(self, entry: LogEntry) -> bool:
        present = self.present.get(entry.key)
        return entry.text != (present.text if present else None)

    def _put(self, entry: LogEntry) -> None:
        if entry.text is None:
            del self.present[entry.key]
        else:
            self.present[entry.key] = entry

    def _keep(self, change: LogChange) -> None:
        self._changes.append(change)
        self._bytes += change.size
        while self._bytes > self._most_bytes:
            self._bytes -= self._changes.popleft().size
        for reader in list(self.readers):
            reader.notice(change)
