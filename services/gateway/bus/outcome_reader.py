"""Reads hosts' queues of outcomes, whatever state one of them is in.

A quorum queue may be without a leader: for moments while its node starts, for as long as most nodes
of a cluster are away, and for ever where its node was killed within seconds of its declaration
(RabbitMQ 3.10). It is declared and bound as any other then, counts no messages, and whoever wants
to consume it gets no answer, nor anything else on that channel. So the hosts are spread over many
channels, and a queue without a leader is made anew. Nothing is lost with it: gateways ask each
worker for what its journal has beyond what they know.

When such a queue is deleted, and where two gateways declare a new one at once, RabbitMQ may close
the connection of who consumes it (541). So no events go over it.
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

# An outcome is a transaction of its own, and the database of a single gateway has one thread.
OUTCOMES = RateBudget(
    messages_per_s=20,
    messages_at_once=250,
    bytes_per_s=2 * MIB,
    bytes_at_once=16 * MIB,
    prefetch=4,
)
# Below what a broker may be told to allow of one connection; a fleet of no more hosts has one each.
MOST_CHANNELS = 100
# A node that starts with a thousand queues has the last leader after some seconds.
LEADER_TIMEOUT_S = 20.0
BOUND_TIMEOUT_S = 5.0
# RabbitMQ itself waits five seconds for the members of a queue that it is to delete.
DELETE_TIMEOUT_S = 15.0
RETRY_S = 1.0


class SharedChannel:
    """A channel of some hosts, made when the first of them needs it, and again when it was lost."""

    def __init__(self, connection: SharedConnection) -> None:
        self.connection = connection
        # Held by whoever waits for an answer on it.
        self.asking = asyncio.Lock()
        self.ended = asyncio.Event()
        self._channel: Channel | None = None

    async def get(self) -> Channel:
        """Return the open channel, opening it if needed; raise one of `CONNECTION_ERRORS`."""
        if self._channel is None or self.ended.is_set():
            await self._close()
            self.ended = ended = asyncio.Event()
            connection = await self.connection.get()
            self._channel = await channel_for(OUTCOMES, connection, lambda *_: ended.set())
        return self._channel

    async def _close(self) -> None:
        # It lives on where it was the queue of a host that ended.
        if self._channel is not None:
            with suppress(*CONNECTION_ERRORS):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._channel.close()


class OutcomeReader:
    """Has `consumer` take what a host publishes of its operations to `exchange`."""

    def __init__(self, channel: SharedChannel, exchange: str, consumer: Consumer) -> None:
        self._channel = channel
        self._exchange = exchange
        self._queue = topology.outcomes_queue(exchange)
        self._consumer = consumer
        self._bound = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._complaint = ""
        self._backoff = Backoff(RETRY_S)

    async def start(self) -> None:
        """Read in the background; return when outcomes are kept, or if that takes too long."""
        self._reading = asyncio.create_task(self._keep_reading())
        with suppress(TimeoutError):
            async with asyncio.timeout(BOUND_TIMEOUT_S):
                await self._bound.wait()

    def stop(self) -> None:
        """Read no more."""
        if self._reading:
            self._reading.cancel()

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._read()
            except CONNECTION_ERRORS as exc:
                self._complain(str(exc) or repr(exc))
            await asyncio.sleep(self._backoff.next_s())

    async def _read(self) -> None:
        """Read until the channel is gone, or the queue of one of its hosts."""
        async with self._channel.asking:
            channel = await self._channel.get()
            ended = self._channel.ended
            waiting = await self._declare(channel)
            self._bound.set()
            answered = await self._consume(channel)
        if answered:
            self._complaint = ""
            self._backoff.reset()
            try:
                await ended.wait()
            finally:
                await self._consumer.stop()
        elif not waiting:
            # One that has messages has, or had, a leader that is only slow to answer.
            await self._delete()

    async def _declare(self, channel: Channel) -> int:
        """Declare and bind the queue; return how many messages wait in it."""
        declared = await channel.queue_declare(
            self._queue.name, durable=True, arguments=self._queue.queue_arguments
        )
        await bind(channel, self._queue.name, self._exchange, self._queue.routing_key)
        return declared.message_count or 0

    async def _consume(self, channel: Channel) -> bool:
        """Consume the queue; return whether it answers. One that does not ends the channel."""
        try:
            async with asyncio.timeout(LEADER_TIMEOUT_S):
                await self._consumer.start(channel, self._queue.name)
        except TimeoutError:
            return False
        return True

    async def _delete(self) -> None:
        self._complain("its queue has no leader, and is made anew")
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            channel = await (await self._channel.connection.get()).channel()
            await (await channel.get_underlay_channel()).queue_delete(self._queue.name)
            await channel.close()

    def _complain(self, reason: str) -> None:
        """Log why no outcomes are read, once for each reason."""
        if reason != self._complaint:
            self._complaint = reason
            log.warning("outcomes not read", extra={"host": self._consumer.host, "reason": reason})
