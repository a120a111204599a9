"""Reads what workers have journalled since they were last asked, to fill any hole in the events."""

from __future__ import annotations

from collections.abc import Callable

from services.gateway.clock import rfc3339
from services.gateway.fleet.view import FleetView
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.merge import cap_created_at
from services.gateway.operations.store import OperationStore
from shared.contracts.operations import Operation, State
from shared.contracts.worker_api import LxdWorker

# Of one reading, which a host could otherwise make endless; what is left comes with the next.
MOST_PAGES = 100


class OperationSync:
    """Brings the database up to a host's journal."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        store: OperationStore,
        worker: LxdWorker,
        wall: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._store = store
        self._worker = worker
        self._wall = wall

    async def catch_up(self, host: str) -> None:
        """Read the host's operations from where the last reading ended; strangers are not asked."""
        if not self._fleet.is_reachable(host):
            return
        sequence = await self._store.known_up_to(host)
        for _ in range(MOST_PAGES):
            page = await self._worker.operations_since(host, sequence)
            now, told = rfc3339(self._wall()), filter(_is_taken, page.operations)
            own = [cap_created_at(each, now) for each in told if each.host == host]
            for operation in own:
                self._cache.record(operation)
            reached = max([sequence, *(operation.sequence for operation in own)])
            if reached == sequence:
                return
            await self._store.merge_page(host, own, reached)
            sequence = reached
            if not page.more:
                return


def _is_taken(operation: Operation) -> bool:
    """Whether a worker can have it in its journal: only gateways submit and reject."""
    return operation.state not in {State.SUBMITTING, State.REJECTED}
