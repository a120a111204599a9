"""Decodes AMQP frames so that nothing a host publishes can close the connection.

A broker forwards a message's properties and routing key as the bytes it received. pamqp raises for
those that it cannot decode, aiormq then closes the connection, and a durable queue redelivers the
message after each reconnect (gmr/pamqp#40, mosquito/aiormq#186). Here such properties make only
that message undecodable. Everything else in a frame is written by the broker itself, and stays an
error of the connection.
"""

from __future__ import annotations

import struct

import pamqp.frame
from aiormq.abc import DeliveredMessage
from pamqp import commands, constants, decode
from pamqp.exceptions import PAMQPException
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader

# Ours take some 200 bytes. pamqp copies the rest of a table for each of its fields, and recurses
# for each level: a frame of 128 KiB would take a second.
MAX_HEADER_BYTES = 4096

_ERRORS = (
    PAMQPException,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    OSError,  # from times out of the platform's range
    RecursionError,
    MemoryError,
    struct.error,
)
# A header that only `decode_frame` sets, or a host that declares its own message undecodable.
_UNDECODABLE = "lxdfleet-undecodable"

# The offset of the property flags: after the frame header and the sizes.
_FLAGS = constants.FRAME_HEADER_SIZE + 12

_unmarshal = pamqp.frame.unmarshal


def decode_frame(data: bytes) -> tuple[int, int, FrameTypes]:
    """Return the number of bytes consumed, the channel, and the frame.

    Raises as `pamqp.frame.unmarshal` does for frames that only the broker can have got wrong.
    """
    is_header = data[0] == constants.FRAME_HEADER and data[-1] == constants.FRAME_END
    if is_header and len(data) > MAX_HEADER_BYTES:
        return _frame(data, _undecodable_header(data, "the properties are too large"))
    # A second word of flags, which no property needs; pamqp before 4 loops for ever on it.
    if is_header and len(data) > _FLAGS + 1 and data[_FLAGS + 1] & 1:
        return _frame(data, _undecodable_header(data, "the properties have unknown flags"))
    try:
        return _unmarshal(data)
    except _ERRORS as exc:
        if is_header:
            reason = f"the properties cannot be decoded: {exc!r:.200}"
            return _frame(data, _undecodable_header(data, reason))
        if data[0] == constants.FRAME_METHOD and _method(data) == commands.Basic.Deliver.index:
            return _frame(data, _delivery(data[constants.FRAME_HEADER_SIZE + 4 :]))
        raise


def undecodable(message: DeliveredMessage) -> str:
    """Return why a message's properties could not be decoded; empty: they could."""
    headers = message.header.properties.headers or {}
    return str(headers.get(_UNDECODABLE, ""))


def _frame(data: bytes, frame: FrameTypes) -> tuple[int, int, FrameTypes]:
    _, channel, size = struct.unpack_from(">BHI", data)
    return constants.FRAME_HEADER_SIZE + size + 1, channel, frame


def _method(data: bytes) -> int:
    return int.from_bytes(data[constants.FRAME_HEADER_SIZE : constants.FRAME_HEADER_SIZE + 4])


def _undecodable_header(data: bytes, reason: str) -> ContentHeader:
    """Return a header with the body size, which the broker wrote, and the reason."""
    _, weight, body_size = struct.unpack_from(">HHQ", data, constants.FRAME_HEADER_SIZE)
    properties = commands.Basic.Properties(headers={_UNDECODABLE: reason})
    return ContentHeader(weight, body_size, properties)


def _delivery(arguments: bytes) -> commands.Basic.Deliver:
    """Return a delivery whose routing key is not UTF-8, with backslash escapes in it."""
    # Not as arguments: pamqp would reject some names of exchanges.
    delivery = commands.Basic.Deliver()
    delivery.consumer_tag, rest = _short_text(arguments)
    used, delivery.delivery_tag = decode.long_long_int(rest)
    delivery.redelivered = bool(rest[used] & 1)
    delivery.exchange, rest = _short_text(rest[used + 1 :])
    delivery.routing_key, _ = _short_text(rest)
    return delivery


def _short_text(data: bytes) -> tuple[str, bytes]:
    end = 1 + data[0]
    return data[1:end].decode(errors="backslashreplace"), data[end:]
