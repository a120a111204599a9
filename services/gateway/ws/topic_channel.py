"""What all who watch the same are told, each message encoded once."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import asdict

from services.gateway.ws.change_log import ChangeLog, LogChange, LogEntry
from services.gateway.ws.frames import FramedMessage, frame_message
from services.gateway.ws.protocol import TopicFilter

Entries = dict[str, msgspec.Raw]
Reason = Literal["unknown_position", "too_old"]

_NUMBER = re.compile(r"[0-9]{1,18}")


class Position(TopicFilter, frozen=True, kw_only=True):
    """A position in a view; `token` is what to resume from."""

    sequence: int
    token: str


class StateMessage(Position, frozen=True, kw_only=True, tag="state"):
    """Everything there is; what a viewer has of before is to be forgotten."""

    entries: Entries


class DeltaMessage(Position, frozen=True, kw_only=True, tag="delta"):
    """What came or changed, whole, and what went."""

    changed: Entries
    removed: list[str]


class Resync(TopicFilter, frozen=True, kw_only=True, tag="resync"):
    """The viewer's position is lost; the whole state follows."""

    reason: Reason


class EncodedMessage(NamedTuple):
    """A message that leads to a position; `idle`: it tells of no change."""

    said: FramedMessage
    sequence: int
    idle: bool = False


class TopicChannel:
    """A part of a log. It lives as long as somebody watches it."""

    def __init__(self, wanted: TopicFilter, log: ChangeLog) -> None:
        self.wanted = wanted
        self._log = log
        self._source = f"{log.id}{zlib.crc32(msgspec.json.encode(wanted)):08x}"
        self._watchers: set[asyncio.Event] = set()
        # Messages to the log's newest position, by the position they lead from.
        self._made: dict[int | None, EncodedMessage] = {}
        self._made_at = log.sequence
        log.readers.add(self)

    def watch(self, news: asyncio.Event) -> None:
        """Set `news` after every change of this part."""
        self._watchers.add(news)

    def leave(self, news: asyncio.Event) -> None:
        """Set `news` no more."""
        self._watchers.discard(news)

    def notice(self, change: LogChange) -> None:
        """Wake the watchers if the change is of this part."""
        if any(self._shows(entry) for entry in change.entries):
            for news in self._watchers:
                news.set()

    def state(self) -> EncodedMessage:
        """Return the whole state."""
        return self._kept(None) or self._keep(None, self._state())

    def after(self, position: int) -> EncodedMessage | None:
        """Return what changed since a position in one message; None: that is too long ago."""
        if kept := self._kept(position):
            return kept
        missed = self._log.since(position)
        return None if missed is None else self._keep(position, self._delta(missed.values()))

    def resync(self, reason: Reason) -> FramedMessage:
        """Return the word that the state comes anew."""
        return _framed(Resync(**asdict(self.wanted), reason=reason))

    def at(self, sequence: int) -> Position:
        """Return a position; its token is of this view, and of no other anywhere."""
        token = f"{self._source}-{sequence}"
        return Position(**asdict(self.wanted), sequence=sequence, token=token)

    def position(self, token: str) -> int | None:
        """Return the position that a token names; None if it is not of this view."""
        source, _, number = token.partition("-")
        if source != self._source or not _NUMBER.fullmatch(number):
            return None
        return int(number) if int(number) <= self._log.sequence else None

    def _shows(self, entry: LogEntry) -> bool:
        return (
            self.wanted.host in {None, entry.host}
            and self.wanted.name in {None, entry.name}
            and self.wanted.project in {None, entry.project}
        )

    def _kept(self, position: int | None) -> EncodedMessage | None:
        if self._made_at != self._log.sequence:
            self._made.clear()
            self._made_at = self._log.sequence
        return self._made.get(position)

    def _keep(self, position: int | None, message: EncodedMessage) -> EncodedMessage:
        self._made[position] = message
        return message

    def _state(self) -> EncodedMessage:
        newest = self.at(self._log.sequence)
        entries = self._encoded(self._log.present.values())
        return EncodedMessage(
            _framed(StateMessage(**asdict(newest), entries=entries)), newest.sequence
        )

    def _delta(self, missed: Iterable[LogEntry]) -> EncodedMessage:
        newest = self.at(self._log.sequence)
        shown = [entry for entry in missed if self._shows(entry)]
        removed = [entry.key for entry in shown if entry.text is None]
        delta = DeltaMessage(**asdict(newest), changed=self._encoded(shown), removed=removed)
        return EncodedMessage(_framed(delta), newest.sequence, idle=not shown)

    def _encoded(self, entries: Iterable[LogEntry]) -> Entries:
        return {
            entry.key: msgspec.Raw(entry.text)
            for entry in entries
            if entry.text is not None and self._shows(entry)
        }


def _framed(message: StateMessage | DeltaMessage | Resync) -> FramedMessage:
    return frame_message(msgspec.json.encode(message))
