"""Frames that a broker sends on from a host: any bytes where a host may write them."""

import struct

import pamqp.exceptions
import pamqp.frame
import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from services.gateway.bus.frame_decoder import MAX_HEADER_BYTES, decode_frame, undecodable
from tests.support.raw_message import POISON, RawMessage, field, nested_tables, short, table

CHANNEL = 7
BODY_SIZE = 4711

SHORT_TEXTS = st.binary(max_size=255).map(short)
# Every type of field that a broker takes, with as many bytes as it has or with any.
KINDS = st.sampled_from([bytes([letter]) for letter in b"tbBsuIilLfdDSATFVx\x00?"])
FIELDS = st.builds(field, st.binary(max_size=20), KINDS, st.binary(max_size=40))
TABLES = st.recursive(
    st.lists(FIELDS, max_size=5).map(lambda fields: table(*fields)),
    lambda inner: st.builds(
        lambda name, kind, value: table(field(name, kind, value)),
        st.binary(max_size=3),
        st.sampled_from([b"F", b"A"]),
        inner,
    ),
    max_leaves=20,
)
PROPERTIES: dict[str, st.SearchStrategy[bytes]] = {
    "content_type": SHORT_TEXTS,
    "content_encoding": SHORT_TEXTS,
    "headers": TABLES | st.integers(0, 5000).map(nested_tables),
    "delivery_mode": st.binary(min_size=1, max_size=1),
    "priority": st.binary(min_size=1, max_size=1),
    "correlation_id": SHORT_TEXTS,
    "reply_to": SHORT_TEXTS,
    "expiration": SHORT_TEXTS,
    "message_id": SHORT_TEXTS,
    "timestamp": st.binary(min_size=8, max_size=8),
    "type": SHORT_TEXTS,
    "user_id": SHORT_TEXTS,
    "app_id": SHORT_TEXTS,
    "cluster_id": SHORT_TEXTS,
}


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, CHANNEL, len(payload)) + payload + b"\xce"


def header_frame(properties: bytes) -> bytes:
    return frame(2, struct.pack(">HHQ", 60, 0, BODY_SIZE) + properties)


def delivery_frame(routing_key: bytes, exchange: bytes = b"fleet.hosts.h1") -> bytes:
    arguments = short(b"ctag") + struct.pack(">QB", 2**40, 1) + short(exchange) + short(routing_key)
    return frame(1, struct.pack(">HH", 60, 60) + arguments)


def delivered(header: ContentHeader) -> DeliveredMessage:
    return DeliveredMessage(commands.Basic.Deliver(), header, b"", None)  # type: ignore[arg-type]


def decoded_header(data: bytes) -> ContentHeader:
    consumed, channel, header = decode_frame(data)
    assert (consumed, channel) == (len(data), CHANNEL)
    assert isinstance(header, ContentHeader)
    assert header.body_size == BODY_SIZE
    return header


@pytest.mark.attack
@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_header_leaves_the_size_of_the_body_and_is_never_an_error(name: str) -> None:
    raw = RawMessage(b"", **POISON[name])._serialize_properties()

    decoded_header(header_frame(raw))


@pytest.mark.attack
def test_a_time_beyond_all_calendars_makes_the_message_undecodable() -> None:
    raw = RawMessage(b"", timestamp=struct.pack(">Q", 2**63))._serialize_properties()

    assert "cannot be decoded" in undecodable(delivered(decoded_header(header_frame(raw))))


@pytest.mark.attack
def test_properties_larger_than_ours_ever_are_make_the_message_undecodable_unread() -> None:
    raw = RawMessage(b"", headers=nested_tables(MAX_HEADER_BYTES))._serialize_properties()

    assert "too large" in undecodable(delivered(decoded_header(header_frame(raw))))


def test_an_honest_frame_is_decoded_as_the_library_does_it() -> None:
    properties = commands.Basic.Properties(
        content_type="application/json", correlation_id="1", headers={"x": [1, "zwei"]}
    )
    data = pamqp.frame.marshal(ContentHeader(0, BODY_SIZE, properties), CHANNEL)

    header = decoded_header(data)

    assert header.properties == properties
    assert not undecodable(delivered(header))
    _, _, delivery = decode_frame(delivery_frame(b"h1.worker.heartbeat"))
    assert isinstance(delivery, commands.Basic.Deliver)
    assert delivery.routing_key == "h1.worker.heartbeat"


@pytest.mark.attack
@given(st.fixed_dictionaries({}, optional=PROPERTIES), st.integers(0, 2**16 - 1), st.binary())
@example({}, 0xFFFF, b"\xff" * 500)
def test_no_header_is_an_error(encoded: dict[str, bytes], flags: int, rest: bytes) -> None:
    properties = RawMessage(b"", **encoded)._serialize_properties()

    for raw in (properties, properties[: len(properties) // 2], struct.pack(">H", flags) + rest):
        decoded_header(header_frame(raw))


@pytest.mark.attack
@given(st.binary(max_size=255), st.binary(max_size=60))
def test_a_delivery_under_any_key_is_decoded(routing_key: bytes, exchange: bytes) -> None:
    data = delivery_frame(routing_key, exchange)

    consumed, channel, delivery = decode_frame(data)

    assert (consumed, channel) == (len(data), CHANNEL)
    assert isinstance(delivery, commands.Basic.Deliver)
    assert delivery.consumer_tag == "ctag"
    assert (delivery.delivery_tag, delivery.redelivered) == (2**40, True)
    assert delivery.routing_key == routing_key.decode(errors="backslashreplace")
    assert delivery.exchange == exchange.decode(errors="backslashreplace")


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"\x00\x99\x00\x99"),
        frame(9, b"x"),
        frame(1, struct.pack(">HH", 60, 50) + struct.pack(">H", 312) + short(b"\xff") * 3),
        frame(2, b"\x00" * 12 + b"\x00\x00")[:-1] + b"\x00",
    ],
    ids=["unknown method", "unknown type", "a return that is no UTF-8", "no end"],
)
def test_what_only_the_broker_can_have_got_wrong_stays_an_error(data: bytes) -> None:
    with pytest.raises((pamqp.exceptions.PAMQPException, ValueError)):
        decode_frame(data)


def test_a_body_is_the_bytes_it_is() -> None:
    _, _, body = decode_frame(frame(3, b"\xff\x00"))

    assert isinstance(body, ContentBody)
    assert body.value == b"\xff\x00"
