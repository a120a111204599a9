"""Calls to workers and their answers.

An answer counts only from the host that was asked, which is the first word of the answer's routing
key: the broker lets a host publish under no other. The gateway's id is part of that key and cannot
be guessed, so that nobody fills the queue who was not asked. Each host that is asked has a queue
for its answers, so that it can crowd out no others.
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
from services.gateway.bus.event_reader import check_encoding, read_key
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

# Of one host: a page of its journal has up to 100 operations, and an operation is a call or two.
REPLIES = RateBudget(
    messages_per_s=100,
    messages_at_once=1000,
    bytes_per_s=4 * MIB,
    bytes_at_once=32 * MIB,
    prefetch=10,
)
REPLY_QUEUE_LIMITS = {"x-max-length": 1_000, "x-max-length-bytes": 32 * MIB}


class Calls:
    """A `shared.contracts.worker_api.Call` over the broker, once it is connected.

    While the broker takes no messages (`alarm`) no call is sent: it would be carried out whenever
    the alarm is over. `exchange_of` returns the name of a host's exchange; empty: it is not known.
    """

    def __init__(
        self,
        gateway: str,
        dead_letters: DeadLetters,
        throttled: Callable[[str], None],
        alarm: Alarm,
        exchange_of: Callable[[str], str],
        *,
        timeout_s: float,
    ) -> None:
        self._gateway = gateway
        self._dead_letters = dead_letters
        self._throttled = throttled
        self._alarm = alarm
        self._exchange_of = exchange_of
        self.queues = CallQueues()
        self._timeout_s = timeout_s
        self._channel: AbstractChannel | None = None
        self._answers: Channel | None = None
        # By the host's exchange.
        self._listening: dict[str, asyncio.Task[Consumer]] = {}
        self._pending: dict[str, tuple[str, asyncio.Future[bytes | None]]] = {}

    @property
    def connected(self) -> bool:
        """Whether calls can be made now, or as soon as the broker takes messages again."""
        return self._channel is not None and not self._channel.is_closed

    async def connect(self, connection: AbstractConnection, lost: OnLost) -> None:
        """Make calls over this connection; the end of a channel of it calls `lost`."""
        # A broker that has not noticed the loss of the last connection still holds its queues.
        # Hosts know the gateway's id, and could try what follows it.
        self._session = f"{self._gateway}.{secrets.token_hex(16)}"
        self._listening = {}
        await self.queues.connect(connection, lost)
        self._answers = await channel_for(REPLIES, connection, lost)
        # It must raise what is returned to it: a call that no worker takes.
        channel = await connection.channel(on_return_raises=True)
        channel.close_callbacks.add(lost)
        self._channel = channel

    def disconnect(self) -> None:
        """Make no more calls; what was sent has an unknown outcome."""
        self._channel = None
        for _, answer in self._pending.values():
            if not answer.done():
                answer.set_result(None)

    async def __call__(self, host: str, method: str, args: list[object]) -> object:
        """Call a worker's method and return its answer.

        Raises BrokerUnavailable (not sent), HostUnreachable (not delivered), OutcomeUnknown (sent,
        no answer in time or the connection lost), UnreadableMessage, or what the worker raised.
        """
        if self._channel is None or not self.connected or self._alarm.reason:
            raise BrokerUnavailable
        exchange = await self._channel.get_exchange(topology.CALLS.name, ensure=False)
        call_id = uuid4().hex
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = (host, answer)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._listen(host)
                await self.queues.made(host)
                await self._send(exchange, host, method, self._message(call_id, host, args))
                body = await answer
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

    async def close_forgotten(self, known: Collection[str]) -> None:
        """Take no more answers through other exchanges than those that are known now."""
        self.queues.forget_all_but({topology.host_of(exchange) for exchange in known})
        for exchange in [exchange for exchange in self._listening if exchange not in known]:
            listening = self._listening.pop(exchange)
            if listening.done() and not listening.exception():
                await listening.result().stop()

    async def _listen(self, host: str) -> None:
        """Take answers of the host from now on; raise BrokerUnavailable, HostUnreachable."""
        exchange = self._exchange_of(host)
        if not exchange:
            raise HostUnreachable(host)
        if exchange not in self._listening:
            self._listening[exchange] = asyncio.create_task(self._listen_to(host, exchange))
        try:
            # One caller who gives up must not take the queue from the others.
            await asyncio.shield(self._listening[exchange])
        except CONNECTION_EXCEPTIONS as exc:
            self._listening.pop(exchange, None)
            raise BrokerUnavailable from exc

    async def _listen_to(self, host: str, exchange: str) -> Consumer:
        if self._answers is None:
            raise BrokerUnavailable
        queue = f"gateway.{self._session}.replies.{exchange.removeprefix(topology.HOST_EXCHANGES)}"
        await self._answers.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=dict(REPLY_QUEUE_LIMITS)
        )
        key = topology.reply_key(host, self._gateway)
        await bind(self._answers, queue, exchange, key)
        consumer = Consumer(host, self._take, REPLIES, self._dead_letters, self._throttled)
        await consumer.start(self._answers, queue)
        return consumer

    async def _take(self, message: DeliveredMessage) -> None:
        sender, key = read_key(message)
        call_id = message.header.properties.correlation_id
        host, answer = self._pending.get(call_id or "", (None, None))
        if host is None or answer is None:
            log.debug("an answer that nobody awaits", extra={"key": key})
        elif sender != host or key != topology.reply_key(host, self._gateway):
            raise UnreadableMessage("an answer of another host")
        elif not answer.done():
            check_encoding(message)
            answer.set_result(message.body)
