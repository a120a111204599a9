"""Delivers the secrets of an operation to the host that has accepted it.

Secrets are held in memory only. After a lost reply they are sent again, to the same host, for as
long as its worker may start the operation; if the gateway dies meanwhile they are lost, and the
worker ends the operation as not started.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass

from services.gateway.clock import Clock
from services.gateway.operations.merge import log_fields
from shared.contracts.errors import FleetError, TemporaryError
from shared.contracts.operations import Operation, Secrets
from shared.contracts.worker_api import WorkerClient

log = logging.getLogger(__name__)

# Each may be as long as cloud-init data; operations whose secrets are dropped never start.
MOST_UNDELIVERED = 1000


@dataclass(frozen=True, slots=True)
class UndeliveredSecrets:
    """Secrets that the host has not confirmed yet; `until` is a Unix time."""

    operation: Operation
    secrets: Secrets
    until: float


class SecretDelivery:
    """Delivers secrets, each to one host only."""

    def __init__(self, worker: WorkerClient, clock: Clock) -> None:
        self._worker = worker
        self._clock = clock
        self._undelivered: OrderedDict[str, UndeliveredSecrets] = OrderedDict()

    def add(self, operation: Operation, secrets: Secrets, until: float) -> None:
        """Hold the secrets of an operation that is being submitted."""
        self._undelivered[operation.operation_id] = UndeliveredSecrets(operation, secrets, until)
        while len(self._undelivered) > MOST_UNDELIVERED:
            operation_id, _ = self._undelivered.popitem(last=False)
            log.warning("secrets dropped", extra={"operation": operation_id})

    def drop(self, operation: Operation) -> None:
        """Drop the secrets of an operation."""
        self._undelivered.pop(operation.operation_id, None)

    def undelivered(self) -> list[Operation]:
        """Return the operations with undelivered secrets, as they were submitted."""
        now = self._clock.wall()
        for operation_id in [one for one, each in self._undelivered.items() if each.until < now]:
            del self._undelivered[operation_id]
        return [each.operation for each in self._undelivered.values()]

    async def deliver(self, accepted: Operation) -> Operation:
        """Send the secrets to the host that has accepted the operation; return it as it is then.

        They are dropped once delivered, or once another attempt cannot succeed.
        """
        pending = self._undelivered.get(accepted.operation_id)
        if pending is None or pending.operation.host != accepted.host:
            return accepted
        try:
            accepted = await self._send(accepted, pending.secrets)
        except TemporaryError as error:
            log.info("secrets not delivered yet", extra=log_fields(accepted, error))
            return accepted
        except FleetError as error:
            log.warning("secrets not delivered", extra=log_fields(accepted, error))
        self.drop(accepted)
        return accepted

    async def _send(self, accepted: Operation, secrets: Secrets) -> Operation:
        if accepted.final:
            return accepted
        return await self._worker.deliver_secrets(accepted.host, accepted.operation_id, secrets)
