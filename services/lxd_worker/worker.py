"""The worker of one host, from its start to its stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.lxd_worker.consoles import ConsoleSessions
from services.lxd_worker.greenthreads import AutoResetEvent, GreenthreadGroup
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.outbox import Outbox
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.secrets import PendingSecrets
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.operations.supervisor import OperationSupervisor
from services.lxd_worker.policies.service import HostPolicies
from services.lxd_worker.rebuild.trash import TrashCollector
from services.lxd_worker.report_loops import Loop, Reporting
from shared.contracts.operations import Operation
from shared.contracts.policies import PolicyRun
from shared.platform.run.background_loop import run_forever

# For consoles, when the worker stops, to hang up in order.
HANG_UP_S = 3.0
PRUNE_EVERY_S = 3600.0
# Between two checks for expired trash, for overdue secrets and for abandoned operations.
COLLECT_S = 60.0
OVERDUE_S = 1.0
ABANDONED_S = 5.0
DAY_S = 24 * 3600.0


@dataclass(slots=True)
class Worker:
    """The whole worker; `start` sets it going, `stop` ends it as safely as kill -9 would.

    `unfinished` are the operations that the journal held before any call could come in.
    """

    context: OperationContext
    reporting: Reporting
    operations: HostOperations
    supervisor: OperationSupervisor
    pending: PendingSecrets
    outbox: Outbox[Operation]
    trash: TrashCollector
    policies: HostPolicies
    policy_runs: Outbox[PolicyRun]
    consoles: ConsoleSessions
    threads: GreenthreadGroup
    operations_changed: AutoResetEvent
    policies_changed: AutoResetEvent
    policy_runs_changed: AutoResetEvent
    unfinished: list[JournalEntry]
    journal_days: float

    def start(self) -> None:
        """Go on with what the journal holds unfinished, and start every loop."""
        self.reporting.publisher.start()
        for entry in self.unfinished:
            if not entry.awaits_secrets:
                self.supervisor.start(entry)
        for loop in (*self.reporting.loops(), *self._loops()):
            self.threads.spawn(_run, loop)

    def stop(self) -> None:
        """Leave everything as it is but the consoles; the journal knows the rest."""
        self.consoles.close_all(HANG_UP_S)
        self.threads.kill_all()
        self.reporting.publisher.stop()

    def _loops(self) -> Iterator[Loop]:
        yield self._publish_operations, 0.0
        yield self.pending.release_overdue, OVERDUE_S
        yield self.supervisor.resume_abandoned, ABANDONED_S
        yield self._prune, PRUNE_EVERY_S
        yield self.trash.collect, COLLECT_S
        yield self._carry_out_policies, 0.0
        yield self._publish_policy_runs, 0.0

    def _publish_operations(self) -> None:
        self.operations_changed.wait()
        self.outbox.publish_unconfirmed()

    def _carry_out_policies(self) -> None:
        self.policies_changed.wait(self.policies.scheduler.work())

    def _publish_policy_runs(self) -> None:
        self.policy_runs_changed.wait()
        self.policy_runs.publish_unconfirmed()

    def _prune(self) -> None:
        self.context.journal.prune(self.context.clock.unix() - self.journal_days * DAY_S)
        self.policies.tidy(self.journal_days * DAY_S)


def _run(loop: Loop) -> None:
    work, pause_s = loop
    run_forever(work, pause_s)
