"""Saves hosts and their inventories to the database, a few seconds behind the view."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from services.gateway.fleet.host_state import StoredHost
from services.gateway.fleet.view import FleetView
from shared.contracts.errors import (
    DatabaseUnavailable,
    HostStillOnline,
    UnreadableMessage,
)

log = logging.getLogger(__name__)

# Hosts that are saved before others get their turn: a millisecond or two with 100 instances each.
AT_ONCE = 10


class HostStore(Protocol):
    """Stores hosts and their last inventories. Every method may raise DatabaseUnavailable."""

    async def load(self) -> Sequence[StoredHost]:
        """Return every host that was saved and not dropped."""

    async def save(self, hosts: Sequence[StoredHost]) -> None:
        """Save the hosts; a pin that is stored already stays."""

    async def drop(self, host: str) -> None:
        """Delete the host, but not its operations."""


class HostPersistence:
    """Saves the hosts that have changed since the last save, and deletes forgotten ones."""

    def __init__(self, fleet: FleetView, store: HostStore) -> None:
        self._fleet = fleet
        self._store = store
        self._unsaved: set[str] = set()

    def mark_unsaved(self, host: str) -> None:
        """Include the host in the next save."""
        self._unsaved.add(host)

    async def load(self) -> None:
        """Restore the view from the saved hosts."""
        self._fleet.restore(await self._store.load())

    async def save(self) -> None:
        """Save the changed hosts; they stay unsaved if the database is unavailable."""
        unsaved, self._unsaved = self._unsaved, set()
        while unsaved:
            some = set(islice(unsaved, AT_ONCE))
            known = filter(self._fleet.has_host, some)
            try:
                await self._save([self._fleet.stored_host(host) for host in known])
            except DatabaseUnavailable:
                self._unsaved |= unsaved
                raise
            unsaved -= some

    async def forget(self, host: str) -> None:
        """Drop a host, its pin and its inventory; raise HostNotFound, HostStillOnline."""
        if self._fleet.host(host).online:
            raise HostStillOnline(host)
        self._unsaved.discard(host)
        await self._store.drop(host)
        self._fleet.forget(host)

    async def _save(self, hosts: Sequence[StoredHost]) -> None:
        try:
            await self._store.save(hosts)
        except UnreadableMessage as exc:
            if len(hosts) == 1:
                log.warning("host not saved", extra={"host": hosts[0].host, "reason": str(exc)})
                return
            # One host's invalid values must not keep the others from being saved.
            for host in hosts:
                await self._save([host])
