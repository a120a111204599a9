"""Byte streams to hosts, each over a connection to the broker of its own.

So a flood in one of them holds up neither another one nor the calls; and when the connection is
lost the stream is over, and there is nothing to mend. What a host sends on a stream is taken no
faster than a `RateBudget` allows, and anything that no honest host sends ends the stream.
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
from services.gateway.bus.event_reader import read_key
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
from shared.platform.bus.flow_control import Incoming, Outgoing

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 5.0
# What the host's end has not taken yet; see `deploy.rabbitmq.operator_policies` for its bounds.
HOST_QUEUE_LIMITS = {"x-expires": 60_000}
# What an honest host never exceeds; of another one the oldest frames go, which ends the stream.
FRAME_QUEUE_LIMITS = {"x-max-length": 10_000, "x-max-length-bytes": 4 * WINDOW}
# LXD hands on what a program writes by 4 KiB and more: 6 MB/s and, at once, 12 MB. What is faster
# than this waits in the host, as the program does.
FRAMES = RateBudget(
    messages_per_s=1500,
    messages_at_once=3000,
    bytes_per_s=32 * 2**20,
    bytes_at_once=32 * 2**20,
    prefetch=32,
)


class BusStream:
    """Our end of a stream; see `ByteStream`."""

    def __init__(self, channel: AbstractChannel, host: str) -> None:
        self.id = secrets.token_hex(16)
        self._host = host
        self._key = topology.stream_key_of(host, self.id)
        self._channel = channel
        self._outgoing, self._incoming = Outgoing(), Incoming()
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._end: End | None = None
        self._failure: FleetError | None = None
        self._heard_at = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def listen(self, channel: Channel, exchange: str, consumer: Consumer) -> None:
        """Take in what the host sends to its exchange, and make the queue of what it is sent."""
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

    def begin(self) -> None:
        """See `ByteStream.begin`."""
        self._beating = asyncio.create_task(self._beat())

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `ByteStream.chunks`."""
        while (data := await self._came.get()) is not None:
            yield data
            if self._incoming.dealt_with(len(data)):
                await self._said(self._incoming.credit)
        if self._end is None:
            self._raise_failure()

    async def send(self, data: bytes) -> None:
        """See `ByteStream.send`."""
        while data:
            while not self._outgoing.room:
                self._room.clear()
                await self._room.wait()
                self._raise_failure()
            piece = data[: self._outgoing.room]
            self._outgoing.sent += len(piece)
            await self._say(piece)
            data = data[len(piece) :]

    async def resize(self, size: Resize) -> None:
        """See `ByteStream.resize`."""
        await self._say(size)

    @property
    def exit_status(self) -> int | None:
        """See `ByteStream.exit_status`."""
        return self._end.exit_status if self._end else None

    async def close(self) -> None:
        """Say good-bye: that we sent all, or, before the host has, that we want no more."""
        if self._beating:
            self._beating.cancel()
        code = "" if self._end else Cancelled.code
        await self._said(End(sent=self._outgoing.sent, code=code))

    async def _beat(self) -> None:
        """Give signs of life, and miss those of the host, until the stream is over."""
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        while await self._said(self._incoming.credit):
            await asyncio.sleep(BEAT_S)
            if loop.time() - self._heard_at > IDLE_S:
                self.fail(StreamLost(f"no sign of life for {IDLE_S:g} s"))

    async def receive(self, message: DeliveredMessage) -> None:
        """Take a frame; what no honest host sends ends the stream, or is no frame of it at all.

        Raises UnreadableMessage.
        """
        _, key = read_key(message)
        if key != self._key:
            raise UnreadableMessage("not a frame of this stream")
        if self._failure is not None or self._end is not None:
            return
        self._heard_at = asyncio.get_running_loop().time()
        try:
            if len(message.body) > MOST_DATA:
                raise StreamLost(f"a frame of more than {MOST_DATA} bytes came")
            self._take(from_message(message.header.properties.message_type or "", message.body))
        except FleetError as exc:
            self.fail(exc)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, bytes):
            self._incoming.arrived(len(frame))
            # Nothing needs no credit, so there could be any number of it.
            if frame:
                self._came.put_nowait(frame)
        elif isinstance(frame, Credit):
            self._outgoing.granted(frame)
            self._room.set()
        elif isinstance(frame, End):
            self._incoming.ended(frame)
            self._end = frame
            self._came.put_nowait(None)

    async def _said(self, frame: Frame) -> bool:
        """Tell whether the host's end could be told."""
        try:
            await self._say(frame)
        except FleetError:
            return False
        return True

    async def _say(self, frame: Frame) -> None:
        self._raise_failure()
        kind, body = to_message(frame)
        exchange = await self._channel.get_exchange(topology.STREAMS_IN.name, ensure=False)
        key = topology.stream_key_to(self._host, self.id)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await exchange.publish(Message(body, type=kind), key, mandatory=True)
        except PublishError:
            self.fail(StreamLost(f"host {self._host!r} listens no more"))
        except CONNECTION_ERRORS as exc:
            self.fail(StreamLost(f"broker: {exc!r}"))
        self._raise_failure()

    def fail(self, failure: FleetError) -> None:
        """Let nobody wait any longer; an end that has come stays the end."""
        if self._failure is None:
            self._failure = failure
            self._room.set()
            if self._end is None:
                self._came.put_nowait(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class BusStreams:
    """Opens streams; `exchange_of` returns the name of a host's exchange, empty: not known."""

    def __init__(
        self,
        amqp_uri: str,
        dead_letters: DeadLetters,
        throttled: Callable[[str], None],
        exchange_of: Callable[[str], str],
    ) -> None:
        self._uri = amqp_uri
        self._dead_letters = dead_letters
        self._throttled = throttled
        self._exchange_of = exchange_of

    @asynccontextmanager
    async def listen(self, host: str) -> AsyncIterator[BusStream]:
        """Yield our end of a new stream, which is over afterwards.

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
        def lost(*_: object) -> None:
            stream.fail(StreamLost("broker"))

        connection.close_callbacks.add(lost)
        channel = await channel_for(FRAMES, connection, lost)
        consumer = Consumer(host, stream.receive, FRAMES, self._dead_letters, self._throttled)
        await stream.listen(channel, exchange, consumer)
