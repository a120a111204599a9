"""Reads what workers have journalled since they were last asked, to fill any hole in the events."""

from __future__ import annotations

from services.gateway.domain.fleet import FleetView
from services.gateway.handlers.ledger import Ledger
from services.gateway.ports import OperationStore
from shared.contracts.operations import Operation, State
from shared.contracts.worker_api import LxdWorker


class History:
    """Brings the database up to a host's journal."""

    def __init__(
        self, fleet: FleetView, ledger: Ledger, store: OperationStore, worker: LxdWorker
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._store = store
        self._worker = worker

    async def catch_up(self, host: str) -> None:
        """Read the host's operations from where the last reading ended; strangers are not asked."""
        if not self._fleet.can_be_told(host):
            return
        sequence, more = await self._store.known_up_to(host), True
        while more:
            page = await self._worker.operations_since(host, sequence)
            own = [each for each in page.operations if each.host == host and _is_taken(each)]
            for operation in own:
                self._ledger.learn(operation)
            reached = max([sequence, *(operation.sequence for operation in own)])
            more = page.more and reached > sequence
            if reached > sequence:
                await self._store.merge_page(host, own, reached)
            sequence = reached


def _is_taken(operation: Operation) -> bool:
    """Whether a worker can have it in its journal: only gateways submit and reject."""
    return operation.state not in {State.SUBMITTING, State.REJECTED}
