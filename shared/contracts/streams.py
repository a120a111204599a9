"""Bytes between a central service and one host: what is said beside the bytes.

The central side makes the stream's id up, which nobody can guess, listens, and asks the host's
worker by RPC to open the other end. Each side then sends frames under keys of that id: bytes as
they are, and the small messages of this module. What makes a stream safe for everybody else:

* A side sends no more bytes than the other one has room for (`Credit`), so a flood stops where its
  reader stops, and nothing piles up in between.
* Each side repeats its credit as a sign of life. Who hears none for `IDLE_S` gives the stream up,
  and at once when the broker returns a frame because the other side has gone.
* A side ends its own direction (`End`), having said how many bytes there were; or it calls the
  whole stream off, with the code of an error.

Ledger:

    1.0  2026-11  Credit, Resize, End
    1.1  2026-11  every field has a bound
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.bounds import MOST_VALUES, Count, ExitStatus, Text, Version, Word
from shared.contracts.codec import decode, encode
from shared.contracts.errors import InvalidInput, UnreadableMessage

VERSION = "1.1"

# Bytes that a side has room for beyond what it has dealt with.
WINDOW = 256 * 1024
# Bytes of one frame at the most.
MOST_DATA = 64 * 1024
# Seconds between two signs of life, and without one before the other side counts as gone.
BEAT_S = 2.0
IDLE_S = 10.0

_ID = re.compile(r"[0-9a-f]{32}")

Cells = Annotated[int, Meta(ge=1, le=1000)]


class Credit(Struct, frozen=True):
    """The sender of this takes bytes up to `limit`, counted from the stream's beginning."""

    limit: Count
    version: Version = VERSION


class Resize(Struct, frozen=True):
    """The terminal's size is now this."""

    columns: Cells
    rows: Cells
    version: Version = VERSION


class End(Struct, frozen=True, kw_only=True):
    """The sender of this has sent `sent` bytes, and no more will come.

    With a `code` the whole stream is called off, whatever is under way; code and values are those
    of an error. `exit_status` is that of the process whose output the bytes were, if there was one.
    """

    sent: Count
    exit_status: ExitStatus | None = None
    code: Word = ""
    values: Annotated[list[Text], Meta(max_length=MOST_VALUES)] = []
    version: Version = VERSION


Frame = bytes | Credit | Resize | End

DATA = "data"
_KINDS: dict[str, type[Credit | Resize | End]] = {"credit": Credit, "resize": Resize, "end": End}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def checked_stream(stream: str) -> str:
    """Return the stream's id; raise InvalidInput where it could not stand in a routing key."""
    if not _ID.fullmatch(stream):
        raise InvalidInput("stream", "32 hexadecimal digits")
    return stream


def to_message(frame: Frame) -> tuple[str, bytes]:
    """Return a frame as the type and the body of a message."""
    return (DATA, frame) if isinstance(frame, bytes) else (_NAMES[type(frame)], encode(frame))


def from_message(kind: str, body: bytes) -> Frame:
    """Return the frame that a message is; raise UnreadableMessage where it is none."""
    if kind == DATA:
        return _checked(body)
    if kind not in _KINDS:
        raise UnreadableMessage(f"no frame of a stream is called {kind!r}")
    return decode(_KINDS[kind], body)


def _checked(data: bytes) -> bytes:
    if len(data) > MOST_DATA:
        raise UnreadableMessage(f"a frame of a stream has at most {MOST_DATA} bytes")
    return data
