"""Between messages and bytes: JSON, unknown fields ignored, a newer major version refused.

Whatever the bytes are, reading them ends in a message or in `UnreadableMessage`, so that nobody can
stop a reader with what they send. What was read can be sent on.

`to_wire` and `from_wire` are for places where a library (nameko) wants plain JSON values.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from shared.contracts.bounds import clip
from shared.contracts.errors import UnreadableMessage

T = TypeVar("T", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()

# What decoding may raise. Beside its own errors msgspec lets through those of Python: of deep
# nesting, of a number with thousands of digits, of letters that are no UTF-8.
UNREADABLE = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)
# The reason may quote the message, and goes to the log.
_LONGEST_REASON = 500


def encode(message: msgspec.Struct) -> bytes:
    """Return the message as JSON in UTF-8."""
    return _encoder.encode(message)


def decode(kind: type[T], body: bytes) -> T:
    """Return the message in `body`; raise `UnreadableMessage` where it is none of this kind."""
    try:
        return _checked(msgspec.json.decode(body, type=kind))
    except UNREADABLE as exc:
        raise _unreadable(exc) from exc


def to_wire(message: msgspec.Struct) -> Any:
    """Return the message as plain JSON values."""
    return msgspec.to_builtins(message)


def from_wire(kind: type[T], value: object) -> T:
    """Return the message that plain JSON values stand for; raise `UnreadableMessage` otherwise.

    `msgspec.Raw` stands for the values that its JSON holds, and makes none of them.
    """
    if isinstance(value, msgspec.Raw):
        return decode(kind, bytes(value))
    try:
        message = _checked(msgspec.convert(value, kind))
        # Half a surrogate pair is text to Python, but no bytes can carry it on.
        encode(message)
    except UNREADABLE as exc:
        raise _unreadable(exc) from exc
    return message


def _unreadable(exc: BaseException) -> UnreadableMessage:
    return UnreadableMessage(clip(f"{exc}", _LONGEST_REASON))


def _checked(message: T) -> T:
    spoken = getattr(message, "version", "")
    if spoken and _major(spoken) != _major(own_version(type(message))):
        raise UnreadableMessage(f"{type(message).__name__} {spoken} is of another major version")
    return message


@cache
def own_version(kind: type[msgspec.Struct]) -> str:
    """Return the version of a message kind that this release speaks."""
    field = next(field for field in msgspec.structs.fields(kind) if field.name == "version")
    return str(field.default)


def _major(version: str) -> str:
    return version.partition(".")[0]
