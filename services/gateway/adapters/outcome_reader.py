"""Reads a host's queue of outcomes, on a channel of its own, until it is told to stop.

A quorum queue may be without a leader: for moments while its node starts, for as long as most nodes
of a cluster are away, and for ever where its node was killed within seconds of its declaration
(RabbitMQ 3.10). It is declared and bound as any other then, counts no messages, and whoever wants
to consume it gets no answer, nor anything else on that channel. So nobody waits for it but its
host's own outcomes, and a queue without a leader is made anew. Nothing is lost with it: gateways
ask each worker for what its journal has beyond what they know.

When such a queue is deleted, and where two gateways declare a new one at once, RabbitMQ may close
the connection of who consumes it (541). So no events go over it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiormq.abc import AbstractChannel as Channel

from services.gateway.adapters.connection import CLOSE_TIMEOUT_S, LOST, SharedConnection
from services.gateway.adapters.consumer import Budget, Consumer, bind, channel_for
from services.gateway.domain.units import MIB
from shared.platform import topology

log = logging.getLogger(__name__)

# An outcome is a transaction of its own, and the database of a single gateway has one thread.
OUTCOMES = Budget(
    messages_per_s=20,
    messages_at_once=250,
    bytes_per_s=2 * MIB,
    bytes_at_once=16 * MIB,
    prefetch=4,
)
# A node that starts with a thousand queues has the last leader after some seconds.
LEADER_TIMEOUT_S = 20.0
BOUND_TIMEOUT_S = 5.0
# RabbitMQ itself waits five seconds for the members of a queue that it is to delete.
DELETE_TIMEOUT_S = 15.0
RETRY_S = 1.0


class OutcomeReader:
    """Has `consumer` take what a host publishes of its operations to `exchange`."""

    def __init__(self, connection: SharedConnection, exchange: str, consumer: Consumer) -> None:
        self._connection = connection
        self._exchange = exchange
        self._queue = topology.outcomes_queue(exchange)
        self._consumer = consumer
        self._bound = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._complaint = ""

    async def start(self) -> None:
        """Read in the background; return when outcomes are kept, or if that takes too long."""
        self._reading = asyncio.create_task(self._keep_reading())
        with suppress(TimeoutError):
            async with asyncio.timeout(BOUND_TIMEOUT_S):
                await self._bound.wait()

    def stop(self) -> None:
        """Read no more; an outcome that is being taken stays in the queue."""
        if self._reading:
            self._reading.cancel()

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._read()
            except LOST as exc:
                self._complain(str(exc) or repr(exc))
            await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        """Read until the channel, the consumer or the queue is gone."""
        ended = asyncio.Event()
        connection = await self._connection.get()
        channel = await channel_for(OUTCOMES, connection, lambda *_: ended.set())
        try:
            waiting = await self._declare(channel)
            self._bound.set()
            try:
                async with asyncio.timeout(LEADER_TIMEOUT_S):
                    await self._consumer.start(channel, self._queue.name)
            except TimeoutError:
                # One that has messages has, or had, a leader that is only slow to answer.
                if not waiting:
                    await self._delete()
                raise
            self._complaint = ""
            await ended.wait()
        finally:
            with suppress(*LOST):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await channel.close()

    async def _declare(self, channel: Channel) -> int:
        """Declare and bind the queue; return how many messages wait in it."""
        declared = await channel.queue_declare(
            self._queue.name, durable=True, arguments=self._queue.queue_arguments
        )
        await bind(channel, self._queue.name, self._exchange, self._queue.routing_key)
        return declared.message_count or 0

    async def _delete(self) -> None:
        self._complain("its queue has no leader, and is made anew")
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            channel = await (await self._connection.get()).channel()
            await (await channel.get_underlay_channel()).queue_delete(self._queue.name)
            await channel.close()

    def _complain(self, reason: str) -> None:
        """Log why no outcomes are read, once for each reason."""
        if reason != self._complaint:
            self._complaint = reason
            log.warning("outcomes not read", extra={"host": self._consumer.host, "reason": reason})
