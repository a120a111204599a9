"""Applies the hosts' events, and requests what they show to be missing."""

from __future__ import annotations

import asyncio
import logging

from services.gateway.clock import Clock, rfc3339
from services.gateway.fleet.encoded_protection import EncodedProtection
from services.gateway.fleet.encoded_samples import EncodedSample
from services.gateway.fleet.host_events import HostEvent
from services.gateway.fleet.view import FleetView
from services.gateway.hosts.budget_log import BudgetLog
from services.gateway.hosts.per_host_scheduler import PerHostScheduler
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.merge import cap_created_at
from services.gateway.operations.store import OperationStore
from services.gateway.operations.sync import OperationSync
from shared.contracts.errors import DatabaseUnavailable, HostUnreachable
from shared.contracts.events import Heartbeat, Inventory, OperationChanged, PolicyRunChanged
from shared.contracts.operations import Operation
from shared.contracts.worker_api import WorkerClient
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

PAUSE_S = 0.5
# Workers take about as long as the gateway to reconnect to the broker.
RETURN_S = 10.0
DATABASE_RETRY_S = 1.0
# What is not saved with a host: it is reported again.
_NOT_SAVED = EncodedSample | EncodedProtection | PolicyRunChanged


class HostEventHandler:
    """Applies events to the view, and outcomes to the database."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        persistence: HostPersistence,
        store: OperationStore,
        worker: WorkerClient,
        sync: OperationSync,
        clock: Clock,
        *,
        pause_s: float = PAUSE_S,
        database_retry_s: float = DATABASE_RETRY_S,
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._persistence = persistence
        self._store = store
        self._worker = worker
        self._clock = clock
        self._database_retry_s = database_retry_s
        self._connected_at = -RETURN_S
        self._budget_log = BudgetLog(clock.monotonic)
        self._inventories = PerHostScheduler(
            self._request_inventory, self._is_worth_a_retry, pause_s=pause_s
        )
        self._journals = PerHostScheduler(sync.sync_host, self._is_worth_a_retry, pause_s=pause_s)

    def on_event(self, host: str, event: HostEvent | OperationChanged) -> None:
        """Apply an event, and request what it shows to be missing."""
        if isinstance(event, OperationChanged):
            self._cache.record(cap_created_at(event.operation, self._now()))
            return
        reaction = self._fleet.apply(host, event)
        self._budget_log.record(host, reaction)
        differs = reaction.changed and not isinstance(event, _NOT_SAVED)
        if isinstance(event, Inventory) or differs:
            self._persistence.mark_unsaved(host)
        if reaction.needs_inventory:
            self._inventories.schedule(host)
        if reaction.needs_operations:
            self._journals.schedule(host)

    def on_discovered(self, host: str, exchange: str, heartbeat: Heartbeat) -> None:
        """Apply the first heartbeat from an exchange, which is the host's from now on.

        Calls and streams use the exchange, and it is saved for the next start.
        """
        self.on_event(host, heartbeat)
        self._fleet.set_exchange(host, exchange)
        self._persistence.mark_unsaved(host)

    async def on_outcome(self, operation: Operation) -> None:
        """Store an operation; return when it is committed, however long that takes.

        Raises UnreadableMessage when it can never be stored.
        """
        operation = self._cache.record(cap_created_at(operation, self._now()))
        backoff = Backoff(self._database_retry_s, 5 * self._database_retry_s)
        while True:
            try:
                return await self._store.merge([operation])
            except DatabaseUnavailable:
                await asyncio.sleep(backoff.next_s())

    def on_connected(self) -> None:
        """Request everything from every host: events were missed while disconnected."""
        self._connected_at = self._clock.monotonic()
        self._fleet.mark_stale()
        for host in self._fleet.host_ids():
            self._inventories.schedule(host)
            self._journals.schedule(host)

    def sync_all(self) -> None:
        """Read the journal of every known host."""
        for host in self._fleet.host_ids():
            self._journals.schedule(host)

    async def close(self) -> None:
        """Stop all requests."""
        await self._inventories.close()
        await self._journals.close()

    def _now(self) -> str:
        return rfc3339(self._clock.wall())

    def _is_worth_a_retry(self, host: str) -> bool:
        just_connected = self._clock.monotonic() - self._connected_at < RETURN_S
        return just_connected or self._fleet.is_reachable(host)

    async def _request_inventory(self, host: str) -> None:
        if not self._fleet.needs_inventory(host):
            return
        try:
            await self._worker.publish_inventory(host)
        except HostUnreachable:
            self._fleet.stop_awaiting(host)
            raise
