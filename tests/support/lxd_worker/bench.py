"""A worker among fakes; operations that it starts are carried out when the test says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.creation.allocations import Allocations
from services.lxd_worker.creation.capacity import Overcommit
from services.lxd_worker.creation.port_pool import HostPorts, NatPool
from services.lxd_worker.creation.request import Remotes
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.operations.secrets import PendingSecrets, SecretsById
from services.lxd_worker.operations.service import HostOperations
from shared.contracts.operations import Arguments, Kind, Operation, State, Submission
from shared.lxd.scope import LxdScope
from tests.support.builders import NO_ARGUMENTS, a_submission
from tests.support.clock import FakeClock
from tests.support.lxd_worker.journal import FakeJournal
from tests.support.lxd_worker.lxd import FakeLxd, FakeReports
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.resources import FakeResources


@dataclass
class Bench:
    """A worker on host `h1` whose LXD holds `web`, running, and `db`, stopped."""

    clock: FakeClock = field(default_factory=FakeClock)
    rings: list[str] = field(default_factory=list)
    spawned: list[JournalEntry] = field(default_factory=list)
    reported: list[tuple[str, str]] = field(default_factory=list)
    secrets: SecretsById = field(default_factory=dict)
    resources: FakeResources = field(default_factory=FakeResources)
    pool: NatPool = field(default_factory=NatPool)
    overcommit: Overcommit = field(default_factory=Overcommit)
    remotes: Remotes = field(default_factory=dict)
    in_use: HostPorts = frozenset()
    most_unfinished: int = 3
    scope: LxdScope = field(default_factory=LxdScope)

    def __post_init__(self) -> None:
        self.lxd = FakeLxd(self.clock, web=observation(), db=observation("Stopped", uuid="u-db"))
        self.reports = FakeReports(self.lxd)
        self.journal = FakeJournal(self.clock)
        self.pending = PendingSecrets(self.clock, self.spawned.append, self.secrets)

    @property
    def context(self) -> OperationContext:
        return OperationContext(
            host="h1",
            epoch=3,
            journal=self.journal,
            lxd=self.lxd,
            reports=self.reports,
            clock=self.clock,
            changed=lambda: self.rings.append("operations"),
            secrets=self.secrets,
        )

    @property
    def operations(self) -> HostOperations:
        return HostOperations(
            context=self.context,
            start=self.spawned.append,
            most_unfinished=self.most_unfinished,
            admission=self.admission,
            pending=self.pending,
            scope=self.scope,
            cached=self.lxd.cached_instances,
            report=lambda project, name: self.reported.append((project, name)),
        )

    @property
    def admission(self) -> Admission:
        return Admission(
            host="h1",
            resources=self.resources,
            allocations=Allocations(self.journal, self.lxd, self.clock, self.lxd.cached_instances),
            pool=self.pool,
            overcommit=self.overcommit,
            remotes=self.remotes,
            ports_in_use=lambda: self.in_use,
        )

    def submit(
        self, kind: Kind, instance: str = "web", arguments: Arguments = NO_ARGUMENTS, **changes: Any
    ) -> None:
        """Submit operation `op` on an instance, and leave it for later."""
        self.operations.submit(a_submission(kind, instance, arguments, **changes))

    def run(
        self, kind: Kind, instance: str = "web", arguments: Arguments = NO_ARGUMENTS, **changes: Any
    ) -> Operation:
        """Submit operation `op` on an instance, carry it out and return it."""
        return self.carry_out(a_submission(kind, instance, arguments, **changes))

    def carry_out(self, submission: Submission) -> Operation:
        """Submit an operation, carry it out and return it."""
        self.operations.submit(submission)
        self.work()
        return self.operation(submission.operation_id)

    def work(self) -> None:
        """Carry out everything that was spawned."""
        while self.spawned:
            ended = OperationRunner(self.context, self.spawned.pop(0)).run()
            if following := self.journal.follower(ended):
                self.spawned.insert(0, following)

    def operation(self, operation_id: str) -> Operation:
        """Return an operation as journalled."""
        return self.entry(operation_id).operation

    def entry(self, operation_id: str) -> JournalEntry:
        """Return all that is journalled of an operation."""
        entry = self.journal.find(operation_id)
        assert entry is not None
        return entry


def failure_of(operation: Operation) -> str | None:
    """Return the code of an operation's failure."""
    return operation.failure.code if operation.failure else None


def outcome(operation: Operation) -> tuple[State, str | None]:
    """Return an operation's state and the code of its failure."""
    return operation.state, failure_of(operation)
