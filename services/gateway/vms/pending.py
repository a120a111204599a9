"""The instances that are being created, as this gateway knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.ports import Change, OperationFilter, Operations, Target
from services.gateway.vms.new_vm import PendingCreation
from shared.contracts.changes import NewInstance
from shared.contracts.operations import Kind, Operation, State

# More do not fit on one page of a database, and no fleet creates so many at once.
MOST = 10_000
# A host tells of as many as it likes; its worker has no more at once than its operator allows.
MOST_OF_ONE_HOST = 1000

UNFINISHED = (State.SUBMITTING, State.ACCEPTED, State.RUNNING, State.CANCELLING)


@dataclass(slots=True)
class Decision:
    """A creation that is being submitted, as it was decided last."""

    change: Change


class PendingCreations:
    """Creations that have been decided on and have not ended.

    `version` grows with every change of what readers see.
    """

    def __init__(self) -> None:
        self.version = 0
        # By host, then by uuid: what a host makes up is its own.
        self._begun: dict[str, dict[str, PendingCreation]] = {}
        self._decided: dict[str, Decision] = {}
        self._watchers: dict[object, Callable[[], None]] = {}

    async def load(self, operations: Operations) -> None:
        """Take the creations that were begun before this process, and follow all news of them."""
        operations.watch(self.learn)
        for state in UNFINISHED:
            wanted = OperationFilter(kind=Kind.CREATE, state=state, limit=MOST)
            for operation in await operations.list(wanted):
                self.learn(operation)

    def learn(self, operation: Operation) -> None:
        """Take news of an operation."""
        ordered = operation.arguments.create
        if operation.kind is not Kind.CREATE or ordered is None:
            return
        if operation.state is State.SUBMITTING:
            self._leave_others(operation)
        of_host = self._begun.setdefault(operation.host, {})
        of_host.pop(operation.uuid, None)
        if not operation.final:
            of_host[operation.uuid] = PendingCreation(operation, ordered)
        if len(of_host) > MOST_OF_ONE_HOST:
            del of_host[next(iter(of_host))]
        self.version += 1
        for changed in list(self._watchers.values()):
            changed()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` after every change; return what ends it."""
        ticket = object()
        self._watchers[ticket] = changed

        def end() -> None:
            self._watchers.pop(ticket, None)

        return end

    @contextmanager
    def decided(self, change: Change) -> Iterator[Decision]:
        """Count a creation as it is decided, until its operation is known."""
        uuid = change.target.uuid
        decision = self._decided[uuid] = Decision(change)
        try:
            yield decision
        finally:
            del self._decided[uuid]

    def begun(self) -> Sequence[PendingCreation]:
        """Return the creations that were submitted."""
        return [each for of_host in self._begun.values() for each in of_host.values()]

    def all(self) -> dict[Target, NewInstance]:
        """Return everything that is on its way, or about to be, each once: as decided last."""
        changes = [each.change for each in self._decided.values()]
        decided = {each.target: each.arguments.create for each in changes}
        begun = {
            _target(each.operation): each.ordered
            for each in self.begun()
            if each.operation.uuid not in self._decided
        }
        return begun | {target: new for target, new in decided.items() if new}

    def _leave_others(self, operation: Operation) -> None:
        """Forget the hosts that a submission was another's before; only gateways submit."""
        for host, of_host in self._begun.items():
            known = of_host.get(operation.uuid)
            if known and host != operation.host and known.operation.state is State.SUBMITTING:
                del of_host[operation.uuid]


def _target(operation: Operation) -> Target:
    return Target(operation.host, operation.project, operation.instance, operation.uuid)
