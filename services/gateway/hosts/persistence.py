"""Keeps hosts and their inventories in the database, a few seconds behind the view."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from services.gateway.fleet.host_state import StoredHost
from services.gateway.fleet.view import FleetView
from shared.contracts.errors import (
    DatabaseUnavailable,
    HostStillOnline,
    UnreadableMessage,
)

log = logging.getLogger(__name__)


class HostStore(Protocol):
    """Hosts and their last inventories, kept. Every method may raise DatabaseUnavailable."""

    async def load(self) -> Sequence[StoredHost]:
        """Return every host that was saved and not dropped."""

    async def save(self, known: Sequence[StoredHost]) -> None:
        """Keep the hosts as they are now; a pin that is there already stays."""

    async def drop(self, host: str) -> None:
        """Keep nothing of the host but its operations."""


class HostPersistence:
    """Saves the hosts that have changed since the last time, and forgets those that are gone."""

    def __init__(self, fleet: FleetView, store: HostStore) -> None:
        self._fleet = fleet
        self._store = store
        self._unsaved: set[str] = set()

    def mark_unsaved(self, host: str) -> None:
        """Have the host saved next time."""
        self._unsaved.add(host)

    async def load(self) -> None:
        """Restore the view from the hosts that were saved."""
        self._fleet.restore(await self._store.load())

    async def save(self) -> None:
        """Save what is unsaved; it stays so when the database is away."""
        unsaved, self._unsaved = self._unsaved.intersection(self._fleet.host_ids()), set()
        try:
            await self._save([self._fleet.stored(host) for host in unsaved])
        except DatabaseUnavailable:
            self._unsaved |= unsaved
            raise

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
                log.warning("host not kept", extra={"host": hosts[0].host, "reason": str(exc)})
                return
            # One host's odd values must not cost the others their place.
            for host in hosts:
                await self._save([host])
