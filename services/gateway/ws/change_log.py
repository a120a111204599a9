"""The current state of a topic and its newest changes, numbered.

The changes are stored once for all clients: a client holds only its position among them, so a slow
one costs no memory. The oldest changes are dropped beyond a limit; a client that has not read them
gets the whole state again.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple, Protocol
from weakref import WeakSet

MOST_BYTES = 16 * 2**20
# The overhead of an entry beside its text.
ENTRY_BYTES = 200


class LogEntry(NamedTuple):
    """One encoded entry; `text` is None if it was removed. Filters match all but the key."""

    key: str
    host: str
    name: str
    text: bytes | None
    project: str = ""


class LogChange(NamedTuple):
    """The entries that changed at once."""

    sequence: int
    entries: tuple[LogEntry, ...]

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return sum(ENTRY_BYTES + len(entry.text or b"") for entry in self.entries)


class ChangeListener(Protocol):
    """Receives the changes of a log."""

    def on_change(self, change: LogChange) -> None:
        """Handle a change; must not raise."""


class ChangeLog:
    """The log of one topic. `id` is unique among the logs of all gateways."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.id = secrets.token_hex(8)
        self.sequence = 0
        self._current: dict[str, LogEntry] = {}
        self._by_host: dict[str, dict[str, LogEntry]] = {}
        self._changes: deque[LogChange] = deque()
        self._bytes = 0
        self._most_bytes = most_bytes
        # Weak, so that an unused listener is dropped.
        self.listeners: WeakSet[ChangeListener] = WeakSet()

    def current(self, host: str | None = None) -> list[LogEntry]:
        """Return the current entries, of one host or of all."""
        return list((self._current if host is None else self._by_host.get(host, {})).values())

    def update(self, candidates: Iterable[LogEntry]) -> None:
        """Add the entries that differ from the current state as one change."""
        entries = tuple(entry for entry in candidates if self._differs(entry))
        if not entries:
            return
        self.sequence += 1
        for entry in entries:
            self._put(entry)
        self._append(LogChange(self.sequence, entries))

    def since(self, position: int) -> dict[str, LogEntry] | None:
        """Return the newest entry of each key changed after a position; None: it is too old."""
        if position < self.sequence - len(self._changes):
            return None
        missed = list(takewhile(lambda c: c.sequence > position, reversed(self._changes)))
        return {entry.key: entry for change in reversed(missed) for entry in change.entries}

    def _differs(self, entry: LogEntry) -> bool:
        current = self._current.get(entry.key)
        return entry.text != (current.text if current else None)

    def _put(self, entry: LogEntry) -> None:
        previous = self._current.get(entry.key)
        # An operation may have moved to another host.
        if previous and (entry.text is None or entry.host != previous.host):
            self._drop(previous)
        if entry.text is not None:
            self._current[entry.key] = entry
            self._by_host.setdefault(entry.host, {})[entry.key] = entry

    def _drop(self, entry: LogEntry) -> None:
        own = self._by_host[entry.host]
        del own[entry.key], self._current[entry.key]
        if not own:
            del self._by_host[entry.host]

    def _append(self, change: LogChange) -> None:
        self._changes.append(change)
        self._bytes += change.size
        while self._bytes > self._most_bytes:
            self._bytes -= self._changes.popleft().size
        for listener in list(self.listeners):
            listener.on_change(change)
