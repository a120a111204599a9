"""Byte streams to hosts, each over a connection to the broker of its own.

So a flood in one of them holds up neither another one nor the calls; and when the connection is
lost the stream is over, and there is nothing to mend.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aio_pika
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, PublishError
from yarl import URL

from shared.contracts.errors import BrokerUnavailable, Cancelled, FleetError, StreamLost
from shared.contracts.streams import (
    BEAT_S,
    IDLE_S,
    WINDOW,
    Credit,
    End,
    Frame,
    Resize,
    from_message,
    to_message,
)
from shared.platform import provenance, topology
from shared.platform.streams import Incoming, Outgoing

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
HEARTBEAT_S = 10
# What an honest host never exceeds; of another one the oldest frames go, which ends the stream.
MOST_BYTES_WAITING = 4 * WINDOW

_LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)


class BusStream:
    """Our end of a stream; see `ByteStream`."""

    def __init__(self, channel: AbstractChannel, host: str) -> None:
        self.id = secrets.token_hex(16)
        self._host = host
        self._channel = channel
        self._outgoing, self._incoming = Outgoing(), Incoming()
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._end: End | None = None
        self._failure: FleetError | None = None
        self._heard_at = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Take in what the host sends from now on."""
        queue = await self._channel.declare_queue(
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length-bytes": MOST_BYTES_WAITING},
        )
        await queue.bind(topology.STREAMS_OUT.name, topology.stream_key_of(self._host, self.id))
        await queue.consume(self._received, no_ack=True)
        self._channel.close_callbacks.add(lambda *_: self._fail(StreamLost("broker")))

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
                self._fail(StreamLost(f"no sign of life for {IDLE_S:g} s"))

    async def _received(self, message: AbstractIncomingMessage) -> None:
        if not self._is_hosts(message):
            log.warning("frame of doubtful origin dropped", extra={"key": message.routing_key})
            return
        self._heard_at = asyncio.get_running_loop().time()
        try:
            self._take(from_message(message.type or "", message.body))
        except FleetError as exc:
            self._fail(exc)

    def _is_hosts(self, message: AbstractIncomingMessage) -> bool:
        return message.routing_key == topology.stream_key_of(
            self._host, self.id
        ) and provenance.direct(
            exchange=message.exchange or "",
            expected_exchange=topology.STREAMS_OUT.name,
            headers=message.headers,
        )

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, bytes):
            self._incoming.arrived(len(frame))
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
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await exchange.publish(Message(body, type=kind), key, mandatory=True)
        except PublishError:
            self._fail(StreamLost(f"host {self._host!r} listens no more"))
        except _LOST as exc:
            self._fail(StreamLost(f"broker: {exc!r}"))
        self._raise_failure()

    def _fail(self, failure: FleetError) -> None:
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
    """Opens streams."""

    def __init__(self, amqp_uri: str) -> None:
        self._uri = URL(amqp_uri).update_query(heartbeat=HEARTBEAT_S)

    @asynccontextmanager
    async def listen(self, host: str) -> AsyncIterator[BusStream]:
        """Yield our end of a new stream, which is over afterwards; raise BrokerUnavailable."""
        async with AsyncExitStack() as stack:
            try:
                connection = await aio_pika.connect(self._uri, timeout=CONNECT_TIMEOUT_S)
                stack.push_async_callback(_close, connection.close)
                stream = BusStream(await connection.channel(on_return_raises=True), host)
                await stream.listen()
            except _LOST as exc:
                raise BrokerUnavailable from exc
            stack.push_async_callback(stream.close)
            yield stream


async def _close(close: Callable[[], Coroutine[None, None, None]]) -> None:
    # A broker that hangs would not answer the farewell.
    with suppress(*_LOST):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await close()
