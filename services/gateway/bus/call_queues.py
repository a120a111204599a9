"""Declares the queues that workers consume calls from, which hosts may not declare themselves.

A worker whose queue is missing says so in its heartbeats. The queue is declared on the connection
that carries the calls and is deleted with its consumer, so that there is no state to synchronize.
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

# A call that is not consumed while its caller waits must not be executed later.
ARGUMENTS = {"x-message-ttl": 10_000, "x-expires": 60_000}


class CallQueues:
    """Declares the missing queue of each host: one at a time, whatever names it asks for."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        # By host: the name of its queue, and the task that declares it.
        self._queues: dict[str, tuple[str, asyncio.Task[None]]] = {}

    async def connect(self, connection: AbstractConnection, on_lost: OnLost) -> None:
        """Declare queues over this connection; the end of the channel calls `on_lost`."""
        self._queues = {}
        channel = await connection.channel()
        channel.close_callbacks.add(on_lost)
        self._channel = await channel.get_underlay_channel()

    def declare(self, host: str, name: str) -> None:
        """Start to declare a host's missing queue, unless the name is not the host's.

        Without a connection nothing is declared; the worker will ask again.
        """
        if self._channel is None or not topology.is_calls_queue(name, host):
            return
        previous, task = self._queues.get(host, ("", None))
        if task is None or task.done():
            task = asyncio.create_task(_declare(self._channel, host, name, previous))
            self._queues[host] = name, task

    async def wait(self, host: str) -> None:
        """Wait until the queue that is being declared for the host exists."""
        if host in self._queues:
            # A cancelled caller must not cancel the declaration for the others.
            await asyncio.shield(self._queues[host][1])

    def forget_all_but(self, hosts: Collection[str]) -> None:
        """Forget the queues of all other hosts."""
        self._queues = {host: queue for host, queue in self._queues.items() if host in hosts}


async def _declare(channel: Channel, host: str, name: str, previous: str) -> None:
    # If the connection is lost, the worker asks again.
    with suppress(*CONNECTION_ERRORS):
        if previous not in ("", name):
            await channel.queue_delete(previous)
        await channel.queue_declare(name, auto_delete=True, arguments=dict(ARGUMENTS))
        await channel.queue_bind(name, topology.CALLS.name, topology.call_key(host, "*"))
