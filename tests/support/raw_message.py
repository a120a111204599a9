"""A message whose properties are any bytes: what a client library of an attacker's own can send."""

from __future__ import annotations

import struct
from typing import Any

import amqp

# AMQP 0-9-1, 4.2.6.1: the order in which properties stand, the first at the highest bit.
_ORDER = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)


class RawMessage(amqp.Message):  # type: ignore[misc]
    """A message with these properties, each as it is encoded on the wire."""

    def __init__(self, body: str | bytes, **encoded: bytes) -> None:
        super().__init__(body)
        self._encoded = encoded

    def _serialize_properties(self) -> bytes:
        flags = sum(1 << 15 - _ORDER.index(name) for name in self._encoded)
        values = (self._encoded[name] for name in _ORDER if name in self._encoded)
        return struct.pack(">H", flags) + b"".join(values)


def short(text: bytes) -> bytes:
    """Return a short string."""
    return bytes([len(text)]) + text


def table(*fields: bytes) -> bytes:
    """Return a table of fields."""
    content = b"".join(fields)
    return struct.pack(">I", len(content)) + content


def field(name: bytes, kind: bytes, value: bytes) -> bytes:
    """Return a field of a table; `kind` is the letter of its type."""
    return short(name) + kind + value


def nested_tables(depth: int) -> bytes:
    """Return a table in a table in a table."""
    inner = table()
    for _ in range(depth):
        inner = table(field(b"x", b"F", inner))
    return inner


def timestamp(seconds: int) -> bytes:
    """Return a time, also one beyond all calendars."""
    return struct.pack(">Q", seconds)


# Each of these ended a connection, a consumer or a process that used a stock client library.
POISON: dict[str, dict[str, bytes]] = {
    "a timestamp of 2^63": {"timestamp": timestamp(2**63)},
    "a timestamp beyond the year 9999": {"timestamp": timestamp(300_000_000_000)},
    "a content type that is no UTF-8": {"content_type": short(b"\xff\xfe")},
    "a content encoding that is no UTF-8": {"content_encoding": short(b"\xc3")},
    "a correlation id that is no UTF-8": {"correlation_id": short(b"\xff")},
    "a reply address that is no UTF-8": {"reply_to": short(b"\xff")},
    "a message id that is no UTF-8": {"message_id": short(b"\xed\xa0\x80")},
    "a type that is no UTF-8": {"type": short(b"\x80")},
    "a header's name that is no UTF-8": {"headers": table(field(b"\xff", b"t", b"\x01"))},
    "a header's text that is no UTF-8": {
        "headers": table(field(b"x", b"S", struct.pack(">I", 2) + b"\xc3\x28"))
    },
    "a header of a time beyond all calendars": {
        "headers": table(field(b"x", b"T", timestamp(2**63)))
    },
    "headers in headers": {"headers": nested_tables(2000)},
    "a decimal of 255 places": {"headers": table(field(b"x", b"D", b"\xff\xff\xff\xff\xff"))},
    "a compression that does not exist": {
        "headers": table(field(b"compression", b"S", struct.pack(">I", 1) + b"x"))
    },
    "a compression that is a number": {"headers": table(field(b"compression", b"t", b"\x01"))},
}


def poison(name: str, body: str | bytes, **encoded: Any) -> RawMessage:
    """Return a message with one of the `POISON` properties, beside others."""
    return RawMessage(body, **(encoded | POISON[name]))
