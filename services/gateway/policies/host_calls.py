"""One call to each of many hosts: a few at a time, and no longer than one request may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.gateway.fleet.view import FleetView
from shared.contracts.errors import FleetError, HostNotFound, HostUnreachable

T = TypeVar("T")

AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class HostAnswer(Generic[T]):
    """What a host has answered, or why it has not; neither: there was no time left to ask it."""

    host: str
    answer: T | None = None
    error: FleetError | None = None

    @property
    def away(self) -> bool:
        """Whether the host could not be asked, as it is not connected."""
        return isinstance(self.error, HostUnreachable | HostNotFound)


async def call_hosts(
    fleet: FleetView,
    hosts: Iterable[str],
    call: Callable[[str], Awaitable[T]],
    *,
    within_s: float,
) -> Sequence[HostAnswer[T]]:
    """Return the answer of each host, in their order; none that had to wait is asked too late.

    That is after `within_s`. A host that is away is not asked at all.
    """
    slots = asyncio.Semaphore(AT_ONCE)
    ends_at = asyncio.get_running_loop().time() + within_s

    async def ask(place: int, host: str) -> HostAnswer[T]:
        async with slots:
            if place >= AT_ONCE and asyncio.get_running_loop().time() >= ends_at:
                return HostAnswer(host)
            try:
                if refusal := fleet.access_error(host):
                    return HostAnswer(host, error=refusal)
                return HostAnswer(host, await call(host))
            except FleetError as error:
                return HostAnswer(host, error=error)

    return await asyncio.gather(*(ask(place, host) for place, host in enumerate(hosts)))
