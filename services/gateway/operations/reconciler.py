"""Finds out what became of operations whose submission was never answered.

A worker that is asked to resolve an id it does not know refuses it for ever; only then is
"never started" the truth, and recorded. What turns out to be accepted gets its secrets, if this
gateway has them still.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence

from services.gateway.clock import Clock, rfc3339
from services.gateway.fleet.view import FleetView
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.merge import as_rejected
from services.gateway.operations.secrets import SecretDelivery
from services.gateway.operations.store import OperationStore
from shared.contracts.errors import FleetError, HostUnreachable, UnreadableMessage
from shared.contracts.operations import Operation, State
from shared.contracts.worker_api import LxdWorker

log = logging.getLogger(__name__)

# After so long a host's next operation waits for the next round, for which all hosts wait.
MOST_S_PER_HOST = 10.0


class Reconciler:
    """Resolves operations on behalf of one gateway."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        store: OperationStore,
        worker: LxdWorker,
        clock: Clock,
        gateway: str,
        delivery: SecretDelivery,
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._store = store
        self._worker = worker
        self._clock = clock
        self._gateway = gateway
        self._delivery = delivery

    async def resolve_all(self) -> None:
        """Settle what can be settled now; hosts do not wait for each other."""
        by_host: defaultdict[str, list[Operation]] = defaultdict(list)
        for operation in await self._store.unresolved(self._gateway, self._clock.wall()):
            if not self._cache.is_in_flight(operation.operation_id):
                by_host[operation.host].append(operation)
        able = [host for host in by_host if self._fleet.is_reachable(host)]
        await asyncio.gather(*(self._resolve_those_of(by_host[host]) for host in able))
        await asyncio.gather(*(self._deliver(each) for each in self._undelivered()))

    def _undelivered(self) -> list[Operation]:
        """Return the operations that have been accepted and whose secrets can be sent now."""
        known = [self._cache.newest(each) for each in self._delivery.undelivered()]
        return [
            each
            for each in known
            if each.state is not State.SUBMITTING
            and not self._cache.is_in_flight(each.operation_id)
            and self._fleet.is_reachable(each.host)
        ]

    async def _deliver(self, accepted: Operation) -> None:
        delivered = await self._delivery.deliver(accepted)
        if delivered is not accepted:
            await self._store.merge([delivered])
            self._cache.record(delivered)

    async def _resolve_those_of(self, operations: Sequence[Operation]) -> None:
        until = self._clock.monotonic() + MOST_S_PER_HOST
        try:
            for operation in operations:
                await self._resolve_if_readable(operation)
                if self._clock.monotonic() > until:
                    return
        except FleetError as exc:
            log.info("not resolved yet", extra={"host": operation.host, "reason": str(exc)})

    async def _resolve_if_readable(self, operation: Operation) -> None:
        """What its host cannot read, or tells unreadably, holds up no other operation."""
        try:
            await self._resolve(operation)
        except UnreadableMessage as exc:
            about = {"host": operation.host, "operation": operation.operation_id}
            log.warning("not resolved", extra={**about, "reason": str(exc)})

    async def _resolve(self, operation: Operation) -> None:
        entry = await self._worker.resolve(operation.host, operation.operation_id)
        if entry is None:
            never_came = HostUnreachable(operation.host)
            entry = as_rejected(operation, never_came, rfc3339(self._clock.wall()))
            await self._store.reject(entry, free_key=True)
        else:
            await self._store.merge([entry])
        self._cache.record(entry)
