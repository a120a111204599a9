"""The creations under way, as this gateway knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.fleet.views import Target
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import OperationFilter
from services.gateway.vms.new_vm import PendingCreation
from shared.contracts.instance_config import NewInstance
from shared.contracts.operations import Command, Kind, Operation, State

# The limit of one query; no fleet creates so many at once.
MOST = 10_000
# Bounds what a host can report; a worker runs far fewer at once.
MOST_PER_HOST = 1000

UNFINISHED = (State.SUBMITTING, State.ACCEPTED, State.RUNNING, State.CANCELLING)


@dataclass(slots=True)
class Decision:
    """A creation that is being submitted, with its latest command."""

    command: Command


class PendingCreations:
    """Creations that were placed on a host and have not ended.

    `version` grows with every change that readers see.
    """

    def __init__(self) -> None:
        self.version = 0
        # By host, then uuid: a host's report counts for that host only.
        self._submitted: dict[str, dict[str, PendingCreation]] = {}
        self._decisions: dict[str, Decision] = {}

    async def load(self, operations: OperationService) -> None:
        """Load the unfinished creations, and follow all changes."""
        operations.watch(self.record)
        for state in UNFINISHED:
            filters = OperationFilter(kind=Kind.CREATE, state=state, limit=MOST)
            for operation in await operations.list(filters):
                self.record(operation)

    def record(self, operation: Operation) -> None:
        """Record an operation, if it is a creation."""
        new_instance = operation.arguments.create
        if operation.kind is not Kind.CREATE or new_instance is None:
            return
        if operation.state is State.SUBMITTING:
            self._remove_from_other_hosts(operation)
        of_host = self._submitted.setdefault(operation.host, {})
        of_host.pop(operation.uuid, None)
        if not operation.final:
            of_host[operation.uuid] = PendingCreation(operation, new_instance)
        if len(of_host) > MOST_PER_HOST:
            del of_host[next(iter(of_host))]
        self.version += 1

    @contextmanager
    def hold(self, command: Command) -> Iterator[Decision]:
        """Count a creation from its placement until its operation is recorded."""
        decision = self._decisions[command.uuid] = Decision(command)
        try:
            yield decision
        finally:
            del self._decisions[command.uuid]

    def submissions(self) -> Sequence[PendingCreation]:
        """Return the submitted creations."""
        return [each for of_host in self._submitted.values() for each in of_host.values()]

    def all(self) -> dict[Target, NewInstance]:
        """Return all new instances, submitted or about to be, each once."""
        submitted = [
            each.operation
            for each in self.submissions()
            if each.operation.uuid not in self._decisions
        ]
        decided = [each.command for each in self._decisions.values()]
        return {
            Target(each.host, each.project, each.instance, each.uuid): each.arguments.create
            for each in (*submitted, *decided)
            if each.arguments.create
        }

    def _remove_from_other_hosts(self, operation: Operation) -> None:
        """Drop a submission from the hosts it was moved from; only gateways submit."""
        for host, of_host in self._submitted.items():
            creation = of_host.get(operation.uuid)
            if creation and host != operation.host and creation.operation.state is State.SUBMITTING:
                del of_host[operation.uuid]
