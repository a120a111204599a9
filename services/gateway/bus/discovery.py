"""The queue of all hosts' heartbeats, in which new hosts are found; bound only now and then."""

from __future__ import annotations

import asyncio

from aiormq.abc import AbstractChannel

from shared.platform.bus import topology
from shared.platform.bus.discovery import QUEUE_LIMITS, DiscoveryPace


class DiscoveryQueue:
    """The queue; it is bound from the beginning."""

    def __init__(self, channel: AbstractChannel, name: str) -> None:
        self.name = name
        self._channel = channel
        self._pace = DiscoveryPace()

    async def declare(self) -> None:
        """Declare the queue."""
        await self._channel.queue_declare(
            self.name, exclusive=True, auto_delete=True, arguments=dict(QUEUE_LIMITS)
        )
        await self._bind()

    def note_found(self) -> None:
        """Record that a new host was found: where one is there are more."""
        self._pace.note_found(_now())

    async def pace(self, hosts: int) -> None:
        """Bind or unbind it if that is due, with so many known hosts."""
        if not self._pace.is_due(hosts, _now()):
            return
        if self._pace.bound:
            await self._channel.queue_unbind(self.name, topology.HEARTBEATS.name, "#")
            self._pace.note(_now(), bound=False)
        else:
            await self._bind()

    async def _bind(self) -> None:
        await self._channel.queue_bind(self.name, topology.HEARTBEATS.name, "#")
        self._pace.note(_now(), bound=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
