"""Catches up with operations that this gateway has not seen: in journals, and of other gateways."""

from __future__ import annotations

from collections.abc import Callable

from services.gateway.clock import rfc3339
from services.gateway.fleet.view import FleetView
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.merge import cap_created_at
from services.gateway.operations.store import OperationStore
from shared.contracts.operations import Operation, State
from shared.contracts.worker_api import WorkerClient

# Per run, which a host could otherwise make endless; the next run reads the rest.
MOST_PAGES = 100
# Ended creations are read for so long after their request; most take seconds.
RECENT_S = 600.0


class OperationSync:
    """Reads the hosts' journals into the database, to fill gaps in the events."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        store: OperationStore,
        worker: WorkerClient,
        wall: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._store = store
        self._worker = worker
        self._wall = wall

    async def sync_host(self, host: str) -> None:
        """Read a host's journal from where the last run ended; skip a host that is not trusted."""
        if not self._fleet.is_reachable(host):
            return
        sequence = await self._store.last_sequence(host)
        for _ in range(MOST_PAGES):
            page = await self._worker.operations_since(host, sequence)
            now, valid = rfc3339(self._wall()), filter(_is_from_worker, page.operations)
            own = [cap_created_at(each, now) for each in valid if each.host == host]
            for operation in own:
                self._cache.record(operation)
            last = max([sequence, *(operation.sequence for operation in own)])
            if last == sequence:
                return
            await self._store.merge_page(host, own, last)
            sequence = last
            if not page.more:
                return


class UuidReservations:
    """Reserves the uuids of the instances that any gateway creates, for the hosts they are sent to.

    The gateway that submits a creation reserves its uuid itself. The others read it here, from the
    shared database: a host's own report does not count, for it may have refused the creation, and
    claim the uuid that it was offered.
    """

    def __init__(self, fleet: FleetView, store: OperationStore, wall: Callable[[], float]) -> None:
        self._fleet = fleet
        self._store = store
        self._wall = wall
        self._recorded: set[tuple[str, str, bool]] = set()

    async def refresh(self) -> None:
        """Record new and newly ended creations, each once; raise DatabaseUnavailable."""
        recorded = set()
        for operation in await self._store.creations(self._wall() - RECENT_S):
            change = (operation.operation_id, operation.host, operation.final)
            recorded.add(change)
            if change not in self._recorded:
                self._fleet.record_creation(operation)
        self._recorded = recorded


def _is_from_worker(operation: Operation) -> bool:
    """Whether a worker can have journalled it: only gateways submit and reject."""
    return operation.state not in {State.SUBMITTING, State.REJECTED}
