"""The queue of all hosts' heartbeats, in which new hosts are found.

The heartbeats of known hosts come to it too, as a second copy. So in a large fleet it is bound only
now and then: a gateway with 1,000 hosts takes a quarter of the copies, and finds a new host with a
heartbeat every two seconds within 14 s.
"""

from __future__ import annotations

import asyncio

from aiormq.abc import AbstractChannel

from services.gateway.units import MIB
from shared.platform.bus import topology

LIMITS = {"x-max-length": 1_000, "x-max-length-bytes": 4 * MIB}
# Twice the interval of heartbeats, so that each host is heard; it begins anew with each host found.
BOUND_S = 4.0
# Between two times, for each known host. A pause of less than `SHORTEST_S` is not worth it.
PAUSE_PER_HOST_S = 0.01
SHORTEST_S = 1.0


class DiscoveryQueue:
    """The queue; it is bound from the beginning."""

    def __init__(self, channel: AbstractChannel, name: str) -> None:
        self.name = name
        self._channel = channel
        self._bound = False
        self._since = 0.0

    async def declare(self) -> None:
        """Declare the queue."""
        await self._channel.queue_declare(
            self.name, exclusive=True, auto_delete=True, arguments=dict(LIMITS)
        )
        await self._bind()

    def note_found(self) -> None:
        """Record that a new host was found: where one is there are more."""
        self._since = asyncio.get_running_loop().time()

    async def pace(self, hosts: int) -> None:
        """Bind or unbind it if that is due, with so many known hosts."""
        elapsed_s = asyncio.get_running_loop().time() - self._since
        pause_s = hosts * PAUSE_PER_HOST_S
        if self._bound and pause_s >= SHORTEST_S and elapsed_s >= BOUND_S:
            await self._channel.queue_unbind(self.name, topology.HEARTBEATS.name, "#")
            self._note(bound=False)
        elif not self._bound and elapsed_s >= pause_s:
            await self._bind()

    async def _bind(self) -> None:
        await self._channel.queue_bind(self.name, topology.HEARTBEATS.name, "#")
        self._note(bound=True)

    def _note(self, *, bound: bool) -> None:
        self._bound, self._since = bound, asyncio.get_running_loop().time()
