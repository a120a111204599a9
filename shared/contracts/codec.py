"""Between messages and bytes: JSON, unknown fields ignored, a newer major version refused.

`to_wire` and `from_wire` are for places where a library (nameko) wants plain JSON values.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from shared.contracts.errors import UnreadableMessage

T = TypeVar("T", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """Return the message as JSON in UTF-8."""
    return _encoder.encode(message)


def decode(kind: type[T], body: bytes) -> T:
    """Return the message in `body`; raise `UnreadableMessage` where it is none of this kind."""
    try:
        return _checked(msgspec.json.decode(body, type=kind))
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise UnreadableMessage(str(exc)) from exc


def to_wire(message: msgspec.Struct) -> Any:
    """Return the message as plain JSON values."""
    return msgspec.to_builtins(message)


def from_wire(kind: type[T], value: object) -> T:
    """Return the message that plain JSON values stand for; raise `UnreadableMessage` otherwise."""
    try:
        return _checked(msgspec.convert(value, kind))
    except msgspec.MsgspecError as exc:
        raise UnreadableMessage(str(exc)) from exc


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
