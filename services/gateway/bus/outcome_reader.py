"""Consumes the hosts' queues of outcomes, and recovers queues without a leader.

A quorum queue may have no leader: briefly while its node starts, as long as most nodes of a cluster
are down, and for ever if its node was killed within seconds of its declaration (RabbitMQ 3.10).
Such a queue can be declared and bound, reports no messages, and never answers `basic.consume`,
which blocks the channel. So the hosts are spread over many channels, and a queue without a leader
is deleted and declared again. Nothing is lost: gateways read each worker's journal from where they
left off.

When such a queue is deleted, and where two gateways declare a new one at once, RabbitMQ may close
the connection of its consumer (541). So this connection carries no events.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiormq.abc import AbstractChannel as Channel

from services.gateway.bus.connection import CLOSE_TIMEOUT_S, CONNECTION_ERRORS, SharedConnection
from services.gateway.bus.consumer import Consumer, RateBudget, bind, channel_for
from services.gateway.units import MIB
from shared.platform.bus import topology
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

# Each outcome is one transaction, and SQLite has one thread.
OUTCOMES = RateBudget(
    messages_per_s=20,
    messages_at_once=250,
    bytes_per_s=2 * MIB,
    bytes_at_once=16 * MIB,
    prefetch=4,
)
# Below any sensible `channel_max`; up to so many hosts have a channel each.
MOST_CHANNELS = 100
# A node that starts with a thousand queues elects the last leader after some seconds.
LEADER_TIMEOUT_S = 20.0
BOUND_TIMEOUT_S = 5.0
# RabbitMQ itself waits 5 s for the members of a queue that it deletes.
DELETE_TIMEOUT_S = 15.0
RETRY_S = 1.0


class SharedChannel:
    """A channel of some hosts, opened on first use, and again after its end."""

    def __init__(self, connection: SharedConnection) -> None:
        self.connection = connection
        # Held while a request is pending on the channel.
        self.lock = asyncio.Lock()
        self.closed = asyncio.Event()
        self._channel: Channel | None = None

    async def get(self) -> Channel:
        """Return the open channel, opening it if needed; raise one of `CONNECTION_ERRORS`."""
        if self._channel is None or self.closed.is_set():
            await self._close()
            self.closed = closed = asyncio.Event()
            connection = await self.connection.get()
            self._channel = await channel_for(OUTCOMES, connection, lambda *_: closed.set())
        return self._channel

    async def _close(self) -> None:
        # It is still open if only a queue was deleted.
        if self._channel is not None:
            with suppress(*CONNECTION_ERRORS):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._channel.close()


class OutcomeReader:
    """Passes the outcomes that a host publishes to `exchange` to `consumer`."""

    def __init__(self, channel: SharedChannel, exchange: str, consumer: Consumer) -> None:
        self._channel = channel
        self._exchange = exchange
        self._queue = topology.outcomes_queue(exchange)
        self._consumer = consumer
        self._bound = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last_error = ""
        self._backoff = Backoff(RETRY_S)

    async def start(self) -> None:
        """Consume in the background; return when the queue is bound, or after a time-out."""
        self._task = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            async with asyncio.timeout(BOUND_TIMEOUT_S):
                await self._bound.wait()

    def stop(self) -> None:
        """Stop consuming."""
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except CONNECTION_ERRORS as exc:
                self._log_once(str(exc) or repr(exc))
            await asyncio.sleep(self._backoff.next_s())

    async def _read(self) -> None:
        """Consume until the channel is closed, or the queue of one of its hosts deleted."""
        async with self._channel.lock:
            channel = await self._channel.get()
            closed = self._channel.closed
            waiting = await self._declare(channel)
            self._bound.set()
            answered = await self._consume(channel)
        if answered:
            self._last_error = ""
            self._backoff.reset()
            try:
                await closed.wait()
            finally:
                await self._consumer.stop()
        elif not waiting:
            # A queue with messages has, or had, a leader that is only slow.
            await self._delete_queue()

    async def _declare(self, channel: Channel) -> int:
        """Declare and bind the queue; return the number of its messages."""
        declared = await channel.queue_declare(
            self._queue.name, durable=True, arguments=self._queue.queue_arguments
        )
        await bind(channel, self._queue.name, self._exchange, self._queue.routing_key)
        return declared.message_count or 0

    async def _consume(self, channel: Channel) -> bool:
        """Consume the queue; return whether it answered. If not, the channel is blocked."""
        try:
            async with asyncio.timeout(LEADER_TIMEOUT_S):
                await self._consumer.start(channel, self._queue.name)
        except TimeoutError:
            return False
        return True

    async def _delete_queue(self) -> None:
        self._log_once("the queue has no leader and is declared again")
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            channel = await (await self._channel.connection.get()).channel()
            await (await channel.get_underlay_channel()).queue_delete(self._queue.name)
            await channel.close()

    def _log_once(self, reason: str) -> None:
        """Log why no outcomes are consumed, once for each reason."""
        if reason != self._last_error:
            self._last_error = reason
            log.warning(
                "outcomes not consumed", extra={"host": self._consumer.host, "reason": reason}
            )
