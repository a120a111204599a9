"""Control messages of a byte stream between a central service and one host.

The central side draws a stream id that cannot be guessed, listens, and asks the host's worker by
RPC to open the other end. Each side then sends frames under routing keys with that id: raw bytes,
and the small messages of this module. Three rules protect everybody else:

* A side sends no more bytes than the other one has room for (`Credit`), so a flood stops when its
  reader stops, and nothing piles up in between.
* Each side repeats its credit as a sign of life. A side that receives none for `IDLE_S` closes the
  stream, and does so at once if the broker returns a frame because the other side has gone.
* A side ends its own direction with the number of bytes that it sent (`End`), or aborts the whole
  stream with an error's code.

History:

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

# Bytes that a side accepts beyond those that it has consumed.
WINDOW = 256 * 1024
# The most bytes of one frame.
MOST_DATA = 64 * 1024
# Seconds between two signs of life, and without any until the other side counts as gone.
BEAT_S = 2.0
IDLE_S = 10.0

_ID = re.compile(r"[0-9a-f]{32}")

Cells = Annotated[int, Meta(ge=1, le=1000)]


class Credit(Struct, frozen=True):
    """The sender of this accepts bytes up to `limit`, counted from the stream's beginning."""

    limit: Count
    version: Version = VERSION


class Resize(Struct, frozen=True):
    """The terminal has a new size."""

    columns: Cells
    rows: Cells
    version: Version = VERSION


class End(Struct, frozen=True, kw_only=True):
    """The sender of this has sent `sent` bytes, and will send no more.

    With a `code` it aborts the whole stream; code and values are those of an error. `exit_status`
    is that of the process whose output the bytes were, if there was one.
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


def validate_stream(stream: str) -> str:
    """Return the stream's id; raise InvalidInput if it cannot be part of a routing key."""
    if not _ID.fullmatch(stream):
        raise InvalidInput("stream", "32 hexadecimal digits")
    return stream


def to_message(frame: Frame) -> tuple[str, bytes]:
    """Return a frame as a message's type and body."""
    return (DATA, frame) if isinstance(frame, bytes) else (_NAMES[type(frame)], encode(frame))


def from_message(kind: str, body: bytes) -> Frame:
    """Return the frame in a message; raise UnreadableMessage if there is none."""
    if kind == DATA:
        return _checked(body)
    if kind not in _KINDS:
        raise UnreadableMessage(f"unknown type of frame: {kind!r}")
    return decode(_KINDS[kind], body)


def _checked(data: bytes) -> bytes:
    if len(data) > MOST_DATA:
        raise UnreadableMessage(f"a frame of a stream has at most {MOST_DATA} bytes")
    return data
