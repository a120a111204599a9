"""The instances that are being created, as this gateway knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.fleet.views import Target
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import OperationFilter
from services.gateway.vms.new_vm import PendingCreation
from shared.contracts.changes import NewInstance
from shared.contracts.operations import Command, Kind, Operation, State

# More do not fit on one page of a database, and no fleet creates so many at once.
MOST = 10_000
# A host tells of as many as it likes; its worker has no more at once than its operator allows.
MOST_PER_HOST = 1000

UNFINISHED = (State.SUBMITTING, State.ACCEPTED, State.RUNNING, State.CANCELLING)


@dataclass(slots=True)
class Decision:
    """A creation that is being submitted, as it was decided last."""

    command: Command


class PendingCreations:
    """Creations that have been decided on and have not ended.

    `version` grows with every change of what readers see.
    """

    def __init__(self) -> None:
        self.version = 0
        # By host, then by uuid: what a host makes up is its own.
        self._submitted: dict[str, dict[str, PendingCreation]] = {}
        self._decided: dict[str, Decision] = {}

    async def load(self, operations: OperationService) -> None:
        """Read the creations that were submitted before this process began, and follow all."""
        operations.watch(self.record)
        for state in UNFINISHED:
            wanted = OperationFilter(kind=Kind.CREATE, state=state, limit=MOST)
            for operation in await operations.list(wanted):
                self.record(operation)

    def record(self, operation: Operation) -> None:
        """Remember what was reported of an operation, if it is a creation."""
        ordered = operation.arguments.create
        if operation.kind is not Kind.CREATE or ordered is None:
            return
        if operation.state is State.SUBMITTING:
            self._leave_others(operation)
        of_host = self._submitted.setdefault(operation.host, {})
        of_host.pop(operation.uuid, None)
        if not operation.final:
            of_host[operation.uuid] = PendingCreation(operation, ordered)
        if len(of_host) > MOST_PER_HOST:
            del of_host[next(iter(of_host))]
        self.version += 1

    @contextmanager
    def decided(self, command: Command) -> Iterator[Decision]:
        """Count a creation as it is decided, until its operation is known."""
        decision = self._decided[command.uuid] = Decision(command)
        try:
            yield decision
        finally:
            del self._decided[command.uuid]

    def submitted(self) -> Sequence[PendingCreation]:
        """Return the creations that were submitted."""
        return [each for of_host in self._submitted.values() for each in of_host.values()]

    def all(self) -> dict[Target, NewInstance]:
        """Return everything that is submitted or about to be, each once: as decided last."""
        submitted = [
            each.operation for each in self.submitted() if each.operation.uuid not in self._decided
        ]
        decided = [each.command for each in self._decided.values()]
        return {
            Target(each.host, each.project, each.instance, each.uuid): each.arguments.create
            for each in (*submitted, *decided)
            if each.arguments.create
        }

    def _leave_others(self, operation: Operation) -> None:
        """Forget the hosts that a submission was another's before; only gateways submit."""
        for host, of_host in self._submitted.items():
            known = of_host.get(operation.uuid)
            if known and host != operation.host and known.operation.state is State.SUBMITTING:
                del of_host[operation.uuid]
