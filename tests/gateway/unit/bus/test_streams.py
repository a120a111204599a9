"""What a host may send on a stream, and what ends it."""

from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from services.gateway.bus.streams import BusStream
from shared.contracts.errors import StreamLost, UnreadableMessage
from shared.contracts.streams import MOST_DATA, WINDOW, End, to_message
from shared.platform.bus import topology


@pytest.fixture
def stream() -> BusStream:
    channel: Any = object()
    return BusStream(channel, "h1")


def a_frame(
    stream: BusStream, body: bytes, kind: str = "data", *, host: str = "h1"
) -> DeliveredMessage:
    delivery = commands.Basic.Deliver(
        exchange=topology.host_exchange(host, "secret"), routing_key=f"{host}.out.{stream.id}"
    )
    header = ContentHeader(properties=commands.Basic.Properties(message_type=kind))
    return DeliveredMessage(delivery, header, body, None)  # type: ignore[arg-type]


async def ended(stream: BusStream) -> list[bytes]:
    """Return what came, once the stream has been ended by the host."""
    kind, body = to_message(End(sent=stream._incoming.received))
    await stream.receive(a_frame(stream, body, kind))
    return [data async for data in stream.chunks()]


async def test_bytes_come_as_they_were_sent(stream: BusStream) -> None:
    await stream.receive(a_frame(stream, b"\xff\x00"))
    await stream.receive(a_frame(stream, b"more"))

    assert await ended(stream) == [b"\xff\x00", b"more"]


@pytest.mark.attack
async def test_frames_of_nothing_take_up_no_room(stream: BusStream) -> None:
    for _ in range(10_000):
        await stream.receive(a_frame(stream, b""))

    assert stream._received.empty()
    assert await ended(stream) == []


@pytest.mark.attack
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x" * (MOST_DATA + 1), "data"),
        (b"{}" + b" " * MOST_DATA, "credit"),
        (b"[" * 1000, "credit"),
        (b"{}", "unheard-of"),
        (b"{}", ""),
    ],
)
async def test_what_no_honest_host_sends_ends_the_stream(
    stream: BusStream, body: bytes, kind: str
) -> None:
    await stream.receive(a_frame(stream, body, kind))

    with pytest.raises((StreamLost, UnreadableMessage)):
        await anext(stream.chunks())


@pytest.mark.attack
async def test_more_bytes_than_there_is_room_for_end_the_stream_and_are_not_kept(
    stream: BusStream,
) -> None:
    for _ in range(100):
        await stream.receive(a_frame(stream, b"x" * MOST_DATA))

    assert stream._received.qsize() <= WINDOW // MOST_DATA + 1
    with pytest.raises(StreamLost):
        _ = [data async for data in stream.chunks()]


@pytest.mark.attack
async def test_a_frame_of_another_host_is_none_of_the_stream(stream: BusStream) -> None:
    with pytest.raises(UnreadableMessage):
        await stream.receive(a_frame(stream, b"attack", host="h2"))

    assert await ended(stream) == []
