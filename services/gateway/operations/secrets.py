"""Secrets on their way to the host that has accepted the operation that they belong to.

They are in this process's memory only. Where a host's answer is lost they are sent again, to the
same host, for as long as its worker may still begin; a gateway that dies meanwhile takes them with
it, and the worker then ends the operation as not started.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass

from services.gateway.clock import Clock
from shared.contracts.errors import FleetError, TemporaryError
from shared.contracts.operations import Operation, Secrets
from shared.contracts.worker_api import LxdWorker

log = logging.getLogger(__name__)

# Each may be as long as cloud-init data; the operations of those that are forgotten never start.
MOST_UNDELIVERED = 1000


@dataclass(frozen=True, slots=True)
class PendingSecrets:
    """Secrets that the host of an operation has not confirmed; `until` is a Unix time."""

    operation: Operation
    secrets: Secrets
    until: float


class SecretDelivery:
    """Delivers secrets, each to one host."""

    def __init__(self, worker: LxdWorker, clock: Clock) -> None:
        self._worker = worker
        self._clock = clock
        self._undelivered: OrderedDict[str, PendingSecrets] = OrderedDict()

    def add(self, operation: Operation, secrets: Secrets, until: float) -> None:
        """Remember the secrets of an operation that is being submitted to its host."""
        self._undelivered[operation.operation_id] = PendingSecrets(operation, secrets, until)
        while len(self._undelivered) > MOST_UNDELIVERED:
            operation_id, _ = self._undelivered.popitem(last=False)
            log.warning("secrets given up", extra={"operation": operation_id})

    def drop(self, operation: Operation) -> None:
        """Forget the secrets of an operation that its host has refused."""
        self._undelivered.pop(operation.operation_id, None)

    def undelivered(self) -> list[Operation]:
        """Return the operations whose secrets may still have to be sent, as they were submitted."""
        now = self._clock.wall()
        for operation_id in [one for one, each in self._undelivered.items() if each.until < now]:
            del self._undelivered[operation_id]
        return [each.operation for each in self._undelivered.values()]

    async def deliver(self, accepted: Operation) -> Operation:
        """Send the secrets to the host that has accepted the operation; return it as it is then.

        What proves that no further attempt is needed, or that none can help, makes them forgotten.
        """
        found = self._undelivered.get(accepted.operation_id)
        if found is None or found.operation.host != accepted.host:
            return accepted
        try:
            accepted = await self._send(accepted, found.secrets)
        except TemporaryError as error:
            log.info("secrets not delivered yet", extra=_described(accepted, error))
            return accepted
        except FleetError as error:
            log.warning("secrets not delivered", extra=_described(accepted, error))
        self.drop(accepted)
        return accepted

    async def _send(self, accepted: Operation, secrets: Secrets) -> Operation:
        if accepted.final:
            return accepted
        return await self._worker.deliver_secrets(accepted.host, accepted.operation_id, secrets)


def _described(operation: Operation, error: FleetError) -> dict[str, str]:
    return {"operation": operation.operation_id, "host": operation.host, "reason": str(error)}
