"""Remote calls to workers.

A reply counts only from the called host, which is the first word of the reply's routing key: the
broker lets a host publish under no other. The gateway's id is part of that key and cannot be
guessed, so that only a called host can fill the queue. Each called host has its own reply queue, so
that it cannot crowd out others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection
from uuid import uuid4

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, PublishError
from aiormq.abc import AbstractChannel as Channel
from aiormq.abc import DeliveredMessage

from services.gateway.bus import wire
from services.gateway.bus.call_queues import CallQueues
from services.gateway.bus.connection import Alarm
from services.gateway.bus.consumer import Consumer, OnLost, RateBudget, bind, channel_for
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.event_validation import check_encoding, read_key
from services.gateway.units import MIB
from shared.contracts.errors import (
    BrokerUnavailable,
    HostUnreachable,
    OutcomeUnknown,
    UnreadableMessage,
)
from shared.platform.bus import topology
from shared.platform.logs import correlation_id

log = logging.getLogger(__name__)

# Per host: a page of its journal has up to 100 operations, and an operation takes a call or two.
REPLIES = RateBudget(
    messages_per_s=100,
    messages_at_once=1000,
    bytes_per_s=4 * MIB,
    bytes_at_once=32 * MIB,
    prefetch=10,
)
REPLY_QUEUE_LIMITS = {"x-max-length": 1_000, "x-max-length-bytes": 32 * MIB}


class Calls:
    """Implements `shared.contracts.worker_api.Call` over the broker.

    While the broker is blocked (`alarm`) no call is sent: it would be executed once the alarm is
    over. `exchange_of` returns a host's exchange; empty: not known.
    """

    def __init__(
        self,
        gateway: str,
        dead_letters: DeadLetters,
        on_throttled: Callable[[str], None],
        alarm: Alarm,
        exchange_of: Callable[[str], str],
        *,
        timeout_s: float,
    ) -> None:
        self._gateway = gateway
        self._dead_letters = dead_letters
        self._on_throttled = on_throttled
        self._alarm = alarm
        self._exchange_of = exchange_of
        self.queues = CallQueues()
        self._timeout_s = timeout_s
        self._channel: AbstractChannel | None = None
        self._reply_channel: Channel | None = None
        # Reply consumers, by the host's exchange.
        self._consumers: dict[str, asyncio.Task[Consumer]] = {}
        self._pending: dict[str, tuple[str, asyncio.Future[bytes | None]]] = {}

    @property
    def connected(self) -> bool:
        """Whether calls can be made, unless the broker is blocked."""
        return self._channel is not None and not self._channel.is_closed

    async def connect(self, connection: AbstractConnection, on_lost: OnLost) -> None:
        """Make calls over this connection; the end of one of its channels calls `on_lost`."""
        # Unique, as a broker that has not noticed the loss of the last connection still holds its
        # queues; random, as hosts know the gateway's id and could guess what follows it.
        self._session = f"{self._gateway}.{secrets.token_hex(16)}"
        self._consumers = {}
        await self.queues.connect(connection, on_lost)
        self._reply_channel = await channel_for(REPLIES, connection, on_lost)
        # Unroutable calls must raise: no worker consumes them.
        channel = await connection.channel(on_return_raises=True)
        channel.close_callbacks.add(on_lost)
        self._channel = channel

    def disconnect(self) -> None:
        """Make no more calls; those in flight have an unknown outcome."""
        self._channel = None
        for _, reply in self._pending.values():
            if not reply.done():
                reply.set_result(None)

    async def __call__(self, host: str, method: str, args: list[object]) -> object:
        """Call a worker's method and return its result.

        Raises BrokerUnavailable (not sent), HostUnreachable (not delivered), OutcomeUnknown (sent,
        but no reply in time or the connection lost), UnreadableMessage, or what the worker raised.
        """
        if self._channel is None or not self.connected or self._alarm.reason:
            raise BrokerUnavailable
        exchange = await self._channel.get_exchange(topology.CALLS.name, ensure=False)
        call_id = uuid4().hex
        reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = (host, reply)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._ensure_consumer(host)
                await self.queues.wait(host)
                await self._send(exchange, host, method, self._message(call_id, host, args))
                body = await reply
        except TimeoutError:
            raise OutcomeUnknown(host) from None
        finally:
            del self._pending[call_id]
        if body is None:
            raise OutcomeUnknown(host)
        return wire.decode_reply(body, host)

    def _message(self, call_id: str, host: str, args: list[object]) -> Message:
        return Message(
            wire.encode_call(args),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=call_id,
            reply_to=topology.reply_key(host, self._gateway),
            headers={"nameko.correlation_id": correlation_id.get()},
        )

    async def _send(
        self, exchange: AbstractExchange, host: str, method: str, message: Message
    ) -> None:
        try:
            await exchange.publish(message, topology.call_key(host, method), mandatory=True)
        except PublishError as exc:
            raise HostUnreachable(host) from exc
        except CONNECTION_EXCEPTIONS as exc:
            raise OutcomeUnknown(host) from exc

    async def close_forgotten(self, exchanges: Collection[str]) -> None:
        """Stop consuming replies from all exchanges but these."""
        self.queues.forget_all_but({topology.host_of(exchange) for exchange in exchanges})
        for exchange in [exchange for exchange in self._consumers if exchange not in exchanges]:
            task = self._consumers.pop(exchange)
            if task.done() and not task.exception():
                await task.result().stop()

    async def _ensure_consumer(self, host: str) -> None:
        """Consume the replies of a host; raise BrokerUnavailable, HostUnreachable."""
        exchange = self._exchange_of(host)
        if not exchange:
            raise HostUnreachable(host)
        if exchange not in self._consumers:
            self._consumers[exchange] = asyncio.create_task(self._start_consumer(host, exchange))
        try:
            # A cancelled caller must not cancel the consumer for the others.
            await asyncio.shield(self._consumers[exchange])
        except CONNECTION_EXCEPTIONS as exc:
            self._consumers.pop(exchange, None)
            raise BrokerUnavailable from exc

    async def _start_consumer(self, host: str, exchange: str) -> Consumer:
        if self._reply_channel is None:
            raise BrokerUnavailable
        queue = f"gateway.{self._session}.replies.{exchange.removeprefix(topology.HOST_EXCHANGES)}"
        await self._reply_channel.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=dict(REPLY_QUEUE_LIMITS)
        )
        key = topology.reply_key(host, self._gateway)
        await bind(self._reply_channel, queue, exchange, key)
        consumer = Consumer(host, self._on_reply, REPLIES, self._dead_letters, self._on_throttled)
        await consumer.start(self._reply_channel, queue)
        return consumer

    async def _on_reply(self, message: DeliveredMessage) -> None:
        sender, key = read_key(message)
        call_id = message.header.properties.correlation_id
        host, reply = self._pending.get(call_id or "", (None, None))
        if host is None or reply is None:
            log.debug("reply without a pending call", extra={"key": key})
        elif sender != host or key != topology.reply_key(host, self._gateway):
            raise UnreadableMessage("a reply of another host")
        elif not reply.done():
            check_encoding(message)
            reply.set_result(message.body)
