"""Consumes one host's queue, no faster than the host's rate budget allows.

Beyond the budget, acknowledgements are delayed. The broker then holds the next messages in that
host's queue until its limits drop some: a flood costs its sender messages, and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage

from services.gateway.bus.connection import CONNECTION_ERRORS
from services.gateway.bus.dead_letters import DeadLetters
from shared.contracts.errors import UnreadableMessage
from shared.platform.token_bucket import TokenBucket

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RateBudget:
    """The rate limits of one queue: per second, in a burst, and unacknowledged."""

    messages_per_s: float
    messages_at_once: float
    bytes_per_s: float
    bytes_at_once: float
    prefetch: int


# Called with whatever a connection, channel or consumer passes to its close callbacks.
OnLost = Callable[..., None]


async def channel_for(
    budget: RateBudget, connection: AbstractConnection, on_lost: OnLost
) -> AbstractChannel:
    """Open a channel for consumers with this budget.

    `on_lost` is called when it ends, and when the queue of a consumer is deleted.
    """
    channel = await connection.channel()
    channel.close_callbacks.add(on_lost)
    await channel.set_qos(prefetch_count=budget.prefetch)
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(on_lost)
    return underlay


async def bind(channel: AbstractChannel, queue: str, exchange: str, *keys: str) -> None:
    """Bind a queue to a host's exchange with these routing keys.

    The exchange is declared, as the host's user may not exist on this broker yet.
    """
    await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    for key in keys:
        await channel.queue_bind(queue, exchange, key)


Handle = Callable[[DeliveredMessage], Awaitable[None]]


class Consumer:
    """Passes each message of `host` to `handle` once, and acknowledges it whatever the result.

    `on_throttled` is called with the host for each delayed acknowledgement.
    """

    def __init__(
        self,
        host: str,
        handle: Handle,
        budget: RateBudget,
        dead_letters: DeadLetters,
        on_throttled: Callable[[str], None],
    ) -> None:
        self.host = host
        self._handle = handle
        self._dead_letters = dead_letters
        self._on_throttled = on_throttled
        self._messages = TokenBucket(budget.messages_per_s, budget.messages_at_once)
        self._bytes = TokenBucket(budget.bytes_per_s, budget.bytes_at_once)
        self._tracebacks = TokenBucket(1.0, burst=1.0)
        self._cancel: Callable[[], Awaitable[object]] | None = None

    async def start(self, channel: AbstractChannel, queue: str) -> None:
        """Consume a queue on a channel that `channel_for` opened."""
        started = await channel.basic_consume(queue, self._deliver)
        tag = str(started.consumer_tag)
        self._cancel = lambda: channel.basic_cancel(tag)

    async def stop(self) -> None:
        """Stop consuming; the broker then deletes an auto-delete queue."""
        if self._cancel:
            with suppress(*CONNECTION_ERRORS):
                await self._cancel()

    async def _deliver(self, message: DeliveredMessage) -> None:
        channel, tag, size = message.channel, message.delivery_tag or 0, len(message.body)
        await self._handle_safely(message)
        # Free the body while the acknowledgement is delayed.
        del message
        delay_s = max(self._messages.take(1), self._bytes.take(size))
        if delay_s:
            self._on_throttled(self.host)
            await asyncio.sleep(delay_s)
        # The connection may be lost by now.
        with suppress(*CONNECTION_ERRORS):
            await channel.basic_ack(tag, wait=False)

    async def _handle_safely(self, message: DeliveredMessage) -> None:
        try:
            await self._handle(message)
        except UnreadableMessage as exc:
            await self._dead_letters.add(self.host, message, exc.reason)
        except Exception as exc:
            # Unacknowledged, it would be redelivered, and count against the prefetch limit until
            # then.
            if self._tracebacks.try_take():
                log.exception("message handler failed", extra={"key": message.routing_key})
            await self._dead_letters.add(self.host, message, f"the gateway failed: {exc!r}")
