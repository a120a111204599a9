"""Keeps hosts and their inventories in the database, a few seconds behind the view."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.gateway.fleet.view import FleetView
from services.gateway.operations.records import StoredHost
from services.gateway.ports import HostStore
from shared.contracts.errors import (
    DatabaseUnavailable,
    HostStillOnline,
    UnreadableMessage,
)

log = logging.getLogger(__name__)


class HostPersistence:
    """Saves what has changed since the last time. Implements `ports.Hosts`."""

    def __init__(self, fleet: FleetView, store: HostStore) -> None:
        self._fleet = fleet
        self._store = store
        self._unsaved: set[str] = set()

    def note(self, host: str) -> None:
        """Remember that the host has changed."""
        self._unsaved.add(host)

    async def load(self) -> None:
        """Give the view the hosts that were kept."""
        self._fleet.restore(await self._store.load())

    async def save(self) -> None:
        """Save what was noted; keep it noted when the database is away."""
        noted, self._unsaved = self._unsaved.intersection(self._fleet.host_ids()), set()
        try:
            await self._save([self._fleet.stored(host) for host in noted])
        except DatabaseUnavailable:
            self._unsaved |= noted
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
