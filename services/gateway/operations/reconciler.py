"""Reconciles operations whose submission got no reply.

A worker that is asked to resolve an unknown id refuses that id for ever; only then is it certain,
and recorded, that the operation was never started. An accepted operation gets its secrets, if this
gateway still has them.
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
from shared.contracts.worker_api import WorkerClient

log = logging.getLogger(__name__)

# Per round, so that a slow host does not delay the next round of all hosts for long.
MOST_S_PER_HOST = 10.0


class Reconciler:
    """Resolves the submissions of one gateway."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        store: OperationStore,
        worker: WorkerClient,
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

    async def resolve(self) -> None:
        """Resolve what can be resolved now, all hosts concurrently."""
        by_host: defaultdict[str, list[Operation]] = defaultdict(list)
        for operation in await self._store.unresolved(self._gateway, self._clock.wall()):
            if not self._cache.is_in_flight(operation.operation_id):
                by_host[operation.host].append(operation)
        hosts = [host for host in by_host if self._fleet.is_reachable(host)]
        await asyncio.gather(*(self._resolve_host(by_host[host]) for host in hosts))
        await asyncio.gather(*(self._deliver(each) for each in self._undelivered()))

    def _undelivered(self) -> list[Operation]:
        """Return the accepted operations whose secrets can be sent now."""
        operations = [self._cache.latest(each) for each in self._delivery.undelivered()]
        return [
            each
            for each in operations
            if each.state is not State.SUBMITTING
            and not self._cache.is_in_flight(each.operation_id)
            and self._fleet.is_reachable(each.host)
        ]

    async def _deliver(self, accepted: Operation) -> None:
        delivered = await self._delivery.deliver(accepted)
        if delivered is not accepted:
            await self._store.merge([delivered])
            self._cache.record(delivered)

    async def _resolve_host(self, operations: Sequence[Operation]) -> None:
        deadline = self._clock.monotonic() + MOST_S_PER_HOST
        try:
            for operation in operations:
                await self._resolve_safely(operation)
                if self._clock.monotonic() > deadline:
                    return
        except FleetError as exc:
            log.info(
                "operation not resolved yet", extra={"host": operation.host, "reason": str(exc)}
            )

    async def _resolve_safely(self, operation: Operation) -> None:
        """Resolve one operation; an unreadable message does not block the others."""
        try:
            await self._resolve(operation)
        except UnreadableMessage as exc:
            about = {"host": operation.host, "operation": operation.operation_id}
            log.warning("operation not resolved", extra={**about, "reason": str(exc)})

    async def _resolve(self, operation: Operation) -> None:
        report = await self._worker.resolve(operation.host, operation.operation_id)
        if report is None:
            never_came = HostUnreachable(operation.host)
            report = as_rejected(operation, never_came, rfc3339(self._clock.wall()))
            await self._store.reject(report, free_key=True)
        else:
            await self._store.merge([report])
        self._cache.record(report)
