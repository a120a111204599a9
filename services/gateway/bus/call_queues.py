"""The queues from which workers take their calls, which hosts may not declare themselves.

A worker that misses its queue says so in its heartbeats. It is made on the connection over which
the calls go, and it goes with the worker's consumer, so that nothing is kept in step here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel as Channel

from services.gateway.bus.connection import CONNECTION_ERRORS
from services.gateway.bus.consumer import OnLost
from shared.platform.bus import topology

# A call that no worker takes in the time that its caller waits must not be carried out later.
ARGUMENTS = {"x-message-ttl": 10_000, "x-expires": 60_000}


class CallQueues:
    """Makes the queue of each host that misses it: one at a time, however many names it wishes."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        # Of each host: the name of its queue, and the making of it.
        self._queues: dict[str, tuple[str, asyncio.Task[None]]] = {}

    async def connect(self, connection: AbstractConnection, lost: OnLost) -> None:
        """Make queues over this connection; the end of the channel calls `lost`."""
        self._queues = {}
        channel = await connection.channel()
        channel.close_callbacks.add(lost)
        self._channel = await channel.get_underlay_channel()

    def make(self, host: str, name: str) -> None:
        """Begin to make the queue that a host's worker misses, unless it is no name of its own.

        While there is no connection nothing is made; the worker says it again.
        """
        if self._channel is None or not topology.is_calls_queue(name, host):
            return
        before, making = self._queues.get(host, ("", None))
        if making is None or making.done():
            making = asyncio.create_task(_make(self._channel, host, name, before))
            self._queues[host] = name, making

    async def made(self, host: str) -> None:
        """Return once the queue that is being made for the host is there."""
        if host in self._queues:
            # One caller who gives up must not take the queue from the others.
            await asyncio.shield(self._queues[host][1])

    def forget_all_but(self, hosts: Collection[str]) -> None:
        """Remember these hosts' only."""
        self._queues = {host: queue for host, queue in self._queues.items() if host in hosts}


async def _make(channel: Channel, host: str, name: str, before: str) -> None:
    # With the connection the queues go as well, or are missed again.
    with suppress(*CONNECTION_ERRORS):
        if before not in ("", name):
            await channel.queue_delete(before)
        await channel.queue_declare(name, auto_delete=True, arguments=dict(ARGUMENTS))
        await channel.queue_bind(name, topology.CALLS.name, topology.call_key(host, "*"))
