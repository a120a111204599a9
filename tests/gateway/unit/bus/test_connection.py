"""aiormq, as it is installed, reads frames by our decoder: this fails where its internals move."""

import asyncio
import struct

import aiormq.connection
import pytest
from pamqp import commands
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from services.gateway.bus import connection
from services.gateway.bus.connection import Alarm
from tests.support.raw_message import POISON, RawMessage


async def frame_of(data: bytes) -> object:
    """Return the frame that aiormq reads from these bytes."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    _, _, frame = await aiormq.connection.FrameReceiver(reader).get_frame()
    return frame


@pytest.mark.attack
@pytest.mark.parametrize("name", POISON)
async def test_a_poisoned_header_does_not_end_a_connection_of_aiormqs(name: str) -> None:
    properties = RawMessage(b"", **POISON[name])._serialize_properties()
    payload = struct.pack(">HHQ", 60, 0, 5) + properties

    frame = await frame_of(struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce")

    assert isinstance(frame, ContentHeader)
    assert frame.body_size == 5


async def test_the_alarm_of_a_connection_is_told_when_the_broker_is_full_and_when_not() -> None:
    alarm, other = Alarm(), Alarm()
    blocked = marshal(commands.Connection.Blocked("low on memory"), 0)
    unblocked = marshal(commands.Connection.Unblocked(), 0)

    token = connection._alarm.set(alarm)
    reading = asyncio.create_task(frame_of(blocked))
    connection._alarm.reset(token)
    await reading

    assert (alarm.reason, other.reason) == ("low on memory", "")
    connection._alarm.set(alarm)
    await frame_of(unblocked)
    assert alarm.reason == ""
