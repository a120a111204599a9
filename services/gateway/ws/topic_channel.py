"""The messages of all clients with the same filter, each encoded once."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from services.gateway.ws.change_log import ChangeLog, LogChange, LogEntry
from services.gateway.ws.frames import FramedMessage, frame_message
from services.gateway.ws.protocol import TopicFilter

Entries = dict[str, msgspec.Raw]
Reason = Literal["unknown_position", "too_old"]

_NUMBER = re.compile(r"[0-9]{1,18}")
# Entries of a message of the state: some 0.6 MB.
PART = 1000
# In the token of a state that was not received whole.
UNFINISHED = "unfinished"


class Position(TopicFilter, frozen=True, kw_only=True):
    """A position in a channel; `token` is what to resume from."""

    sequence: int
    token: str


class StateMessage(Position, frozen=True, kw_only=True, tag="state"):
    """The whole state, which replaces what a client had before."""

    entries: Entries


class DeltaMessage(Position, frozen=True, kw_only=True, tag="delta"):
    """The added or changed entries, whole, and the removed ones."""

    changed: Entries
    removed: list[str]


class Resync(TopicFilter, frozen=True, kw_only=True, tag="resync"):
    """The client's position is lost; the whole state follows."""

    reason: Reason


class EncodedMessage(NamedTuple):
    """A message, and the position after it; `idle`: it has no changes."""

    message: FramedMessage
    sequence: int
    idle: bool = False


class TopicChannel:
    """The filtered part of a log that clients with the same filter share."""

    def __init__(self, topic_filter: TopicFilter, log: ChangeLog) -> None:
        self.topic_filter = topic_filter
        self._log = log
        self._source = f"{log.id}{zlib.crc32(msgspec.json.encode(topic_filter)):08x}"
        self._wakeups: set[asyncio.Event] = set()
        # Messages up to the log's newest position, by their start.
        self._cache: dict[int | None, EncodedMessage] = {}
        self._cached_at = log.sequence
        log.listeners.add(self)

    def subscribe(self, wakeup: asyncio.Event) -> None:
        """Set `wakeup` after every change that matches."""
        self._wakeups.add(wakeup)

    def unsubscribe(self, wakeup: asyncio.Event) -> None:
        """Stop setting `wakeup`."""
        self._wakeups.discard(wakeup)

    def on_change(self, change: LogChange) -> None:
        """Wake the subscribers if the change matches."""
        if any(self._matches(entry) for entry in change.entries):
            for wakeup in self._wakeups:
                wakeup.set()

    def state(self) -> EncodedMessage:
        """Return the whole state."""
        return self._cached(None) or self._add_to_cache(None, self._state())

    def state_in_parts(self) -> tuple[int, Iterator[FramedMessage]]:
        """Return the position of the whole state, and its messages, each made when it is sent.

        They are a state of at most `PART` entries and, if that is not all, changes that add the
        others. Only the last one's token leads on; before it has come, nothing was received whole.
        """
        sequence = self._log.sequence
        entries = self._current()
        if len(entries) <= PART:
            return sequence, iter([self.state().message])
        return sequence, self._parts(sequence, entries)

    def after(self, position: int) -> EncodedMessage | None:
        """Return the changes since a position as one message; None: it is too old."""
        if cached := self._cached(position):
            return cached
        missed = self._log.since(position)
        return (
            None if missed is None else self._add_to_cache(position, self._delta(missed.values()))
        )

    def resync(self, reason: Reason) -> FramedMessage:
        """Return the message that the whole state follows."""
        return _frame(Resync(**asdict(self.topic_filter), reason=reason))

    def position_at(self, sequence: int) -> Position:
        """Return a position; its token is valid for this channel only."""
        token = f"{self._source}-{sequence}"
        return Position(**asdict(self.topic_filter), sequence=sequence, token=token)

    def sequence_of(self, token: str) -> int | None:
        """Return the sequence of a token; None: it is not one of this channel."""
        source, _, number = token.partition("-")
        if source != self._source or not _NUMBER.fullmatch(number):
            return None
        return int(number) if int(number) <= self._log.sequence else None

    def _current(self) -> list[LogEntry]:
        wanted = self.topic_filter
        entries = self._log.current(wanted.host)
        if wanted.name is None and wanted.project is None:
            return entries
        return [entry for entry in entries if self._matches(entry)]

    def _matches(self, entry: LogEntry) -> bool:
        return self.topic_filter.includes(entry.host, entry.name, entry.project)

    def _cached(self, position: int | None) -> EncodedMessage | None:
        if self._cached_at != self._log.sequence:
            self._cache.clear()
            self._cached_at = self._log.sequence
        return self._cache.get(position)

    def _add_to_cache(self, position: int | None, message: EncodedMessage) -> EncodedMessage:
        self._cache[position] = message
        return message

    def _state(self) -> EncodedMessage:
        newest = self.position_at(self._log.sequence)
        entries = self._encoded(self._current())
        return EncodedMessage(
            _frame(StateMessage(**asdict(newest), entries=entries)), newest.sequence
        )

    def _delta(self, missed: Iterable[LogEntry]) -> EncodedMessage:
        newest = self.position_at(self._log.sequence)
        matching = [entry for entry in missed if self._matches(entry)]
        removed = [entry.key for entry in matching if entry.text is None]
        delta = DeltaMessage(**asdict(newest), changed=self._encoded(matching), removed=removed)
        return EncodedMessage(_frame(delta), newest.sequence, idle=not matching)

    def _parts(self, sequence: int, entries: list[LogEntry]) -> Iterator[FramedMessage]:
        whole = self.position_at(sequence)
        unfinished = replace(whole, token=f"{self._source}-{UNFINISHED}")
        first, *more = (entries[start : start + PART] for start in range(0, len(entries), PART))
        yield _frame(StateMessage(**asdict(unfinished), entries=self._encoded(first)))
        for part in more:
            position = whole if part is more[-1] else unfinished
            yield _frame(DeltaMessage(**asdict(position), changed=self._encoded(part), removed=[]))

    def _encoded(self, entries: Iterable[LogEntry]) -> Entries:
        return {entry.key: msgspec.Raw(entry.text) for entry in entries if entry.text is not None}


def _frame(message: StateMessage | DeltaMessage | Resync) -> FramedMessage:
    return frame_message(msgspec.json.encode(message))
