"""Takes one host's messages from a queue of its own, no faster than the host's budget allows.

Beyond the budget the acknowledgements are late. The broker then keeps the next messages, in that
host's queue, until they are too many for it: a flood costs the host that sends it its own messages,
and everybody else nothing.
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
from services.gateway.token_bucket import TokenBucket
from shared.contracts.errors import UnreadableMessage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RateBudget:
    """What is taken from one queue: per second, at once, and without acknowledgement."""

    messages_per_s: float
    messages_at_once: float
    bytes_per_s: float
    bytes_at_once: float
    prefetch: int


# Called with whatever a connection, a channel or a consumer tells of its end.
OnLost = Callable[..., None]


async def channel_for(
    budget: RateBudget, connection: AbstractConnection, lost: OnLost
) -> AbstractChannel:
    """Open a channel whose consumers each have this budget.

    `lost` is called when it ends, and when the queue of a consumer is deleted.
    """
    channel = await connection.channel()
    channel.close_callbacks.add(lost)
    await channel.set_qos(prefetch_count=budget.prefetch)
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lost)
    return underlay


async def bind(channel: AbstractChannel, queue: str, exchange: str, *keys: str) -> None:
    """Have what a host publishes to its exchange under these keys in a queue.

    A host that is known is listened to, whether or not its user has been made on this broker.
    """
    await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    for key in keys:
        await channel.queue_bind(queue, exchange, key)


Handle = Callable[[DeliveredMessage], Awaitable[None]]


class Consumer:
    """Hands the messages of `host` to `handle`, each once, and acknowledges whatever came of it.

    `throttled` is told the host of each acknowledgement that has to wait.
    """

    def __init__(
        self,
        host: str,
        handle: Handle,
        budget: RateBudget,
        dead_letters: DeadLetters,
        throttled: Callable[[str], None],
    ) -> None:
        self.host = host
        self._handle = handle
        self._dead_letters = dead_letters
        self._throttled = throttled
        self._messages = TokenBucket(budget.messages_per_s, budget.messages_at_once)
        self._bytes = TokenBucket(budget.bytes_per_s, budget.bytes_at_once)
        self._tracebacks = TokenBucket(1.0, burst=1.0)
        self._stop: Callable[[], Awaitable[object]] | None = None

    async def start(self, channel: AbstractChannel, queue: str) -> None:
        """Consume a queue on a channel that `channel_for` opened for this budget."""
        started = await channel.basic_consume(queue, self._deliver)
        tag = str(started.consumer_tag)
        self._stop = lambda: channel.basic_cancel(tag)

    async def stop(self) -> None:
        """Consume no more; a queue of this connection's own is gone then."""
        if self._stop:
            with suppress(*CONNECTION_ERRORS):
                await self._stop()

    async def _deliver(self, message: DeliveredMessage) -> None:
        channel, tag, size = message.channel, message.delivery_tag or 0, len(message.body)
        await self._take(message)
        # While the acknowledgement waits, nothing else of it is kept.
        del message
        delay_s = max(self._messages.take(1), self._bytes.take(size))
        if delay_s:
            self._throttled(self.host)
            await asyncio.sleep(delay_s)
        # A connection that was lost meanwhile acknowledges nothing any more.
        with suppress(*CONNECTION_ERRORS):
            await channel.basic_ack(tag, wait=False)

    async def _take(self, message: DeliveredMessage) -> None:
        try:
            await self._handle(message)
        except UnreadableMessage as exc:
            await self._dead_letters.add(self.host, message, exc.reason)
        except Exception as exc:
            # Left unacknowledged it would come again, and hold its place until then.
            if self._tracebacks.try_take():
                log.exception("message failed", extra={"key": message.routing_key})
            await self._dead_letters.add(self.host, message, f"the gateway failed: {exc!r}")
