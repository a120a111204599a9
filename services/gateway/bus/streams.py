"""Byte streams to hosts, each over its own connection to the broker.

So a flood on one stream delays neither the others nor the calls, and a lost connection simply ends
its stream. A host's frames are consumed no faster than a `RateBudget` allows, and any protocol
violation ends the stream.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import PublishError
from aiormq.abc import AbstractChannel as Channel
from aiormq.abc import DeliveredMessage

from services.gateway.bus import connection as connections
from services.gateway.bus.connection import CONNECTION_ERRORS
from services.gateway.bus.consumer import Consumer, RateBudget, bind, channel_for
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.event_validation import read_key
from shared.contracts.errors import (
    BrokerUnavailable,
    Cancelled,
    FleetError,
    HostUnreachable,
    StreamLost,
    UnreadableMessage,
)
from shared.contracts.streams import (
    BEAT_S,
    IDLE_S,
    MOST_DATA,
    WINDOW,
    Credit,
    End,
    Frame,
    Resize,
    from_message,
    to_message,
)
from shared.platform.bus import topology
from shared.platform.bus.flow_control import ReceiveWindow, SendWindow

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 5.0
# Frames to the host; see `deploy.rabbitmq.operator_policies` for the limits of the queue.
HOST_QUEUE_LIMITS = {"x-expires": 60_000}
# A conforming host never exceeds these; else the oldest frames are dropped, which ends the stream.
FRAME_QUEUE_LIMITS = {"x-max-length": 10_000, "x-max-length-bytes": 4 * WINDOW}
# LXD forwards output in chunks of 4 KiB and more: 6 MB/s, and 12 MB in a burst. Faster output waits
# on the host, and so does the program.
FRAMES = RateBudget(
    messages_per_s=1500,
    messages_at_once=3000,
    bytes_per_s=32 * 2**20,
    bytes_at_once=32 * 2**20,
    prefetch=32,
)


class BusStream:
    """The gateway's end of a stream; implements `ByteStream`."""

    def __init__(self, channel: AbstractChannel, host: str) -> None:
        self.id = secrets.token_hex(16)
        self._host = host
        self._key = topology.stream_key_of(host, self.id)
        self._channel = channel
        self._outgoing, self._incoming = SendWindow(), ReceiveWindow()
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._credit = asyncio.Event()
        self._end: End | None = None
        self._failure: FleetError | None = None
        self._last_frame_at = 0.0
        self._heartbeat_task: asyncio.Task[None] | None = None

    async def listen(self, channel: Channel, exchange: str, consumer: Consumer) -> None:
        """Declare both queues of the stream, and consume the frames of the host."""
        to_host = topology.stream_queue(self._host, self.id)
        await channel.queue_declare(to_host, auto_delete=True, arguments=dict(HOST_QUEUE_LIMITS))
        key = topology.stream_key_to(self._host, self.id)
        await channel.queue_bind(to_host, topology.STREAMS_IN.name, key)
        queue = f"gateway.streams.{self.id}"
        await channel.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=dict(FRAME_QUEUE_LIMITS)
        )
        await bind(channel, queue, exchange, self._key)
        await consumer.start(channel, queue)

    def start(self) -> None:
        """See `ByteStream.start`."""
        self._heartbeat_task = asyncio.create_task(self._send_heartbeats())

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `ByteStream.chunks`."""
        while (data := await self._received.get()) is not None:
            yield data
            if self._incoming.consume(len(data)):
                await self._try_send(self._incoming.credit)
        if self._end is None:
            self._raise_failure()

    async def send(self, data: bytes) -> None:
        """See `ByteStream.send`."""
        while data:
            while not self._outgoing.room:
                self._credit.clear()
                await self._credit.wait()
                self._raise_failure()
            piece = data[: self._outgoing.room]
            self._outgoing.sent += len(piece)
            await self._send_frame(piece)
            data = data[len(piece) :]

    async def resize(self, size: Resize) -> None:
        """See `ByteStream.resize`."""
        await self._send_frame(size)

    @property
    def exit_status(self) -> int | None:
        """See `ByteStream.exit_status`."""
        return self._end.exit_status if self._end else None

    async def close(self) -> None:
        """Send the end of the stream: complete if the host has ended it, else cancelled."""
        if self._heartbeat_task:
            self._heartbeat_task.cancel()
        code = "" if self._end else Cancelled.code
        await self._try_send(End(sent=self._outgoing.sent, code=code))

    async def _send_heartbeats(self) -> None:
        """Send heartbeats, and fail when those of the host are missing, until the stream ends."""
        loop = asyncio.get_running_loop()
        self._last_frame_at = loop.time()
        while await self._try_send(self._incoming.credit):
            await asyncio.sleep(BEAT_S)
            if loop.time() - self._last_frame_at > IDLE_S:
                self.fail(StreamLost(f"no sign of life for {IDLE_S:g} s"))

    async def receive(self, message: DeliveredMessage) -> None:
        """Handle a frame; a protocol violation ends the stream.

        Raises UnreadableMessage for a message that is no frame of this stream.
        """
        _, key = read_key(message)
        if key != self._key:
            raise UnreadableMessage("not a frame of this stream")
        if self._failure is not None or self._end is not None:
            return
        self._last_frame_at = asyncio.get_running_loop().time()
        try:
            if len(message.body) > MOST_DATA:
                raise StreamLost(f"a frame of more than {MOST_DATA} bytes")
            self._apply(from_message(message.header.properties.message_type or "", message.body))
        except FleetError as exc:
            self.fail(exc)

    def _apply(self, frame: Frame) -> None:
        if isinstance(frame, bytes):
            self._incoming.receive(len(frame))
            # An empty frame uses no credit, so there could be any number of them.
            if frame:
                self._received.put_nowait(frame)
        elif isinstance(frame, Credit):
            self._outgoing.grant(frame)
            self._credit.set()
        elif isinstance(frame, End):
            self._incoming.finish(frame)
            self._end = frame
            self._received.put_nowait(None)

    async def _try_send(self, frame: Frame) -> bool:
        """Send a frame; return whether that worked."""
        try:
            await self._send_frame(frame)
        except FleetError:
            return False
        return True

    async def _send_frame(self, frame: Frame) -> None:
        self._raise_failure()
        kind, body = to_message(frame)
        exchange = await self._channel.get_exchange(topology.STREAMS_IN.name, ensure=False)
        key = topology.stream_key_to(self._host, self.id)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await exchange.publish(Message(body, type=kind), key, mandatory=True)
        except PublishError:
            self.fail(StreamLost(f"host {self._host!r} has closed the stream"))
        except CONNECTION_ERRORS as exc:
            self.fail(StreamLost(f"broker: {exc!r}"))
        self._raise_failure()

    def fail(self, failure: FleetError) -> None:
        """Fail all pending waits; an end already received stays the end."""
        if self._failure is None:
            self._failure = failure
            self._credit.set()
            if self._end is None:
                self._received.put_nowait(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class BusStreams:
    """Opens streams; `exchange_of` returns a host's exchange, empty: not known."""

    def __init__(
        self,
        amqp_uri: str,
        dead_letters: DeadLetters,
        on_throttled: Callable[[str], None],
        exchange_of: Callable[[str], str],
    ) -> None:
        self._uri = amqp_uri
        self._dead_letters = dead_letters
        self._on_throttled = on_throttled
        self._exchange_of = exchange_of

    @asynccontextmanager
    async def open(self, host: str) -> AsyncIterator[BusStream]:
        """Yield the gateway's end of a new stream, and close it afterwards.

        Raises BrokerUnavailable, HostUnreachable.
        """
        exchange = self._exchange_of(host)
        if not exchange:
            raise HostUnreachable(host)
        async with AsyncExitStack() as stack:
            try:
                connection = await connections.connect(self._uri)
                stack.push_async_callback(connections.close, connection)
                stream = BusStream(await connection.channel(on_return_raises=True), host)
                await self._listen(connection, host, exchange, stream)
            except CONNECTION_ERRORS as exc:
                raise BrokerUnavailable from exc
            stack.push_async_callback(stream.close)
            yield stream

    async def _listen(
        self, connection: AbstractConnection, host: str, exchange: str, stream: BusStream
    ) -> None:
        def on_lost(*_: object) -> None:
            stream.fail(StreamLost("broker"))

        connection.close_callbacks.add(on_lost)
        channel = await channel_for(FRAMES, connection, on_lost)
        consumer = Consumer(host, stream.receive, FRAMES, self._dead_letters, self._on_throttled)
        await stream.listen(channel, exchange, consumer)
