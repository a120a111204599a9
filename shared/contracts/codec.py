"""Encode messages as JSON and decode them: ignore unknown fields, refuse another major version.

Decoding any bytes yields a message or raises `UnreadableMessage`, so that no sender can stop a
reader. Every decoded message can be encoded again.

`to_wire` and `from_wire` are for libraries (nameko) that expect plain JSON values.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from shared.contracts.bounds import clip
from shared.contracts.errors import UnreadableMessage

T = TypeVar("T", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()

# What decoding may raise. Besides its own errors msgspec passes on Python's: for deep nesting,
# numbers of thousands of digits, invalid UTF-8.
UNREADABLE = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)
# The reason may quote the message, and is logged.
_LONGEST_REASON = 500


def encode(message: msgspec.Struct) -> bytes:
    """Return the message as JSON in UTF-8."""
    return _encoder.encode(message)


def decode(kind: type[T], body: bytes | msgspec.Raw) -> T:
    """Return the message in `body`; raise `UnreadableMessage` if it is not of this kind."""
    try:
        message: T = _decoder(kind).decode(body)
        return _check_version(message)
    except UNREADABLE as exc:
        raise _unreadable(exc) from exc


def to_wire(message: msgspec.Struct) -> Any:
    """Return the message as plain JSON values."""
    return msgspec.to_builtins(message)


def from_wire(kind: type[T], value: object) -> T:
    """Return the message in plain JSON values; raise `UnreadableMessage` if there is none.

    `msgspec.Raw` is decoded straight from its JSON, without intermediate values.
    """
    if isinstance(value, msgspec.Raw):
        return decode(kind, value)
    try:
        message = _check_version(msgspec.convert(value, kind))
        # Python accepts a lone surrogate as text, but it cannot be encoded again.
        encode(message)
    except UNREADABLE as exc:
        raise _unreadable(exc) from exc
    return message


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def _unreadable(exc: BaseException) -> UnreadableMessage:
    return UnreadableMessage(clip(f"{exc}", _LONGEST_REASON))


def _check_version(message: T) -> T:
    version = getattr(message, "version", "")
    if version and _major(version) != _major(own_version(type(message))):
        raise UnreadableMessage(f"{type(message).__name__} {version} is of another major version")
    return message


@cache
def own_version(kind: type[msgspec.Struct]) -> str:
    """Return the version in which this release sends a kind of message."""
    field = next(field for field in msgspec.structs.fields(kind) if field.name == "version")
    return str(field.default)


def _major(version: str) -> str:
    return version.partition(".")[0]
