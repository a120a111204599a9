from __future__ import annotations

import struct
from contextlib import suppress

import amqp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.platform.bus.delivery import UNDECODABLE
from tests.support.raw_message import POISON, RawMessage, nested_tables

BASIC = 60


def header(properties: bytes, body_size: int = 0) -> bytes:
    return struct.pack(">HHQ", BASIC, 0, body_size) + properties


flags_and_values = st.builds(
    lambda flags, values: struct.pack(">H", flags & ~1) + values,
    st.integers(0, 2**16 - 1),
    st.binary(max_size=200),
)


@pytest.mark.attack
@given(flags_and_values)
@example(b" \x00\x00\x00\x00\x01\x00\x00")
@example(RawMessage("", headers=nested_tables(5000))._serialize_properties())
def test_reading_any_properties_ends_in_a_message_or_in_an_error_that_is_known(
    properties: bytes,
) -> None:
    message = amqp.Message()

    with suppress(*UNDECODABLE):
        message.inbound_header(header(properties))

    assert message.body_size == 0


def test_every_poison_is_sent_as_it_is_written() -> None:
    for encoded in POISON.values():
        properties = RawMessage("x", **encoded)._serialize_properties()

        assert all(value in properties for value in encoded.values())
