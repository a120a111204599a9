"""What comes next for a run: take the snapshot, record what became of it, prune.

Everything is found in the database, the journal and LXD, so a run goes on after a crash as it would
have without. Each snapshot is an ordinary operation whose id follows from the slot; nothing is
taken twice, whoever asks how often.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.policies import runs
from services.lxd_worker.policies.clock_guard import ClockGuard
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protocol import PolicyStore, RunChange
from services.lxd_worker.policies.pruning import Pruning
from services.lxd_worker.policies.records import Phase, RunRecord, SnapshotRecord
from services.lxd_worker.policies.verdicts import Again, Next, Over, Waits
from services.lxd_worker.transitions.rebuild import SWAP_KINDS
from shared.contracts import errors
from shared.contracts.bounds import A_DAY_S
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind, State, Submission
from shared.contracts.policies import Policy, PolicyRun, principal
from shared.contracts.status import is_running
from shared.contracts.worker_api import Snapshot
from shared.policies import reasons
from shared.policies.moments import parse_moment
from shared.policies.naming import snapshot_name

log = logging.getLogger(__name__)

# How long a snapshot may take, besides its commands.
TIMEOUT_S = 3600.0
# How long an accepted operation may wait for a worker that was stopped.
START_WITHIN_S = 3600.0
# Between what the journal says of an operation and what LXD says of its snapshot.
SLACK_S = 10.0


@dataclass(frozen=True, slots=True)
class RunSteps:
    """Takes the steps of runs. Every method raises DatabaseUnavailable and LxdUnavailable."""

    context: OperationContext
    operations: HostOperations
    store: PolicyStore
    plan: HostPlan
    instances: HostInstances
    pruning: Pruning
    clock_guard: ClockGuard

    def advance(self, run_id: str) -> Next:
        """Do for a run what can be done now; return what it waits for then."""
        record = self.store.find_run(run_id)
        if record is None or record.phase is Phase.OVER:
            return Over(record.run if record else None)
        if record.phase is Phase.WAITING:
            return self._take(record)
        if record.phase is Phase.TAKING:
            return self._conclude(record)
        return self._prune(record)

    def give_up(self, tried: Mapping[str, errors.FleetError | None]) -> list[PolicyRun]:
        """Try no more what was tried in vain, as the next slot is due; return what is over then.

        `tried` are the ids of runs, with the last error of each. All of them at once, or none.
        Of a snapshot that was asked for the outcome is found out all the same. What was not pruned
        is left for a later run.
        """
        at = self.context.clock.now()
        unfinished = self.store.unfinished_runs()
        known = [one.operation_id for one in unfinished if one.run.operation_id in tried]
        entries = self.context.journal.find_each(known)

        def change(record: RunRecord) -> RunRecord:
            if record.phase is Phase.PRUNING:
                return runs.over(record)
            if entry := entries.get(record.operation_id):
                return runs.submitted(record, entry.operation)
            error = tried[record.run.operation_id]
            return runs.skipped(record, reasons.BUSY, str(error or ""), at)

        changed = self.store.advance_runs(list(tried), change)
        return [record.run for record in changed if record.phase is Phase.OVER]

    def _take(self, record: RunRecord) -> Next:
        run = record.run
        # Accepted, and the worker stopped before that was recorded.
        if entry := self.context.journal.find(record.operation_id):
            operation = entry.operation
            return self._change(run, lambda one: runs.submitted(one, operation))
        policy = self.plan.policy(run.policy_id)
        if policy is None:
            return self._skip(run, reasons.POLICY_GONE)
        if fault := self.plan.fault(policy.id):
            at = self.context.clock.now()
            return self._change(run, lambda one: runs.refused(one, fault, at))
        instance = self.instances.find(run.project, run.instance, run.uuid)
        if instance is None:
            return self._skip(run, reasons.INSTANCE_GONE)
        if not self.plan.selects(policy, instance):
            return self._skip(run, reasons.NOT_SELECTED)
        if self.instances.is_ambiguous(run.uuid):
            return self._skip(run, reasons.DUPLICATE_UUID)
        # LXD takes snapshots during much of its work: that is waited for once it has refused one.
        if record.attempt and self.context.lxd.is_in_use(instance.project, instance.name):
            return Again(errors.LxdBusy("the instance is in use"))
        return self._submit(record, policy, instance)

    def _submit(self, record: RunRecord, policy: Policy, instance: Instance) -> Next:
        run, at = record.run, self.context.clock.now()
        try:
            operation = self.operations.submit(self._submission(record, policy, instance))
        except (errors.InstanceNotFound, errors.InstanceReplaced) as exc:
            return self._skip(run, reasons.INSTANCE_GONE, str(exc))
        except errors.TemporaryError as exc:
            return Again(exc)
        except errors.FleetError as exc:
            refusal = exc
            return self._change(run, lambda one: runs.refused(one, refusal, at))
        return self._change(run, lambda one: runs.submitted(one, operation))

    def _skip(self, run: PolicyRun, code: str, message: str = "") -> Next:
        """Record that a snapshot is not even tried."""
        at = self.context.clock.now()
        return self._change(run, lambda one: runs.skipped(one, code, message, at))

    def _submission(self, record: RunRecord, policy: Policy, instance: Instance) -> Submission:
        commands = [command for command in (policy.pre, policy.post) if command]
        timeout_s = TIMEOUT_S + sum(command.timeout_s for command in commands)
        return Submission(
            kind=Kind.SNAPSHOT,
            host=self.context.host,
            instance=instance.name,
            uuid=instance.uuid,
            principal=principal(policy.name),
            project=instance.project,
            operation_id=record.operation_id,
            start_by=f"{self.context.clock.unix() + START_WITHIN_S:.3f}",
            start_within_s=START_WITHIN_S,
            timeout_s=min(timeout_s, float(A_DAY_S)),
            arguments=Arguments(
                snapshot=snapshot_name(policy, instance.name, parse_moment(record.run.slot)),
                stateful=policy.stateful and is_running(instance.status),
                pre=policy.pre,
                post=policy.post,
            ),
        )

    def _conclude(self, record: RunRecord) -> Next:
        run = record.run
        entry = self.context.journal.find(record.operation_id)
        if entry and not entry.operation.final:
            return Waits(record.operation_id)
        if entry and runs.may_try_again(record, entry):
            self.store.advance_run(run.operation_id, runs.put_off)
            return Again(errors.LxdBusy("lxd refused the snapshot"))
        at = self.context.clock.now()
        if entry is None or entry.operation.state is not State.DONE:
            return self._change(run, lambda one: runs.ended(one, entry, at))
        if self._is_swapped(run):
            return Again(errors.LxdBusy("the instance's root is being swapped"))
        taken = self._taken(run, entry)
        if taken is None:
            return self._change(run, lambda one: runs.lost(one, at))
        return self._change(run, lambda one: runs.ended(one, entry, at), taken)

    def _is_swapped(self, run: PolicyRun) -> bool:
        """Whether the snapshot may be with a root that is just being set aside, or brought back."""
        unfinished = (entry.operation for entry in self.context.journal.unfinished())
        return any(one.uuid == run.uuid and one.kind in SWAP_KINDS for one in unfinished)

    def _taken(self, run: PolicyRun, entry: JournalEntry) -> SnapshotRecord | None:
        """Return the record of the snapshot that an operation took; None: it is not there."""
        instance = self.instances.find(run.project, run.instance, run.uuid)
        listed = self.context.lxd.snapshots(run.project, instance.name) if instance else []
        found = next((one for one in listed if one.name == run.snapshot), None)
        if instance is None or found is None or not _is_of(found, entry):
            log.warning("snapshot of a policy is not there", extra={"operation": run.operation_id})
            return None
        return SnapshotRecord(
            project=run.project,
            uuid=run.uuid,
            snapshot=found.name,
            created_at=found.created_at,
            instance_created_at=instance.created_at,
            policy_id=run.policy_id,
            policy=run.policy,
            slot=run.slot,
            misdated=self._is_misdated(run, found.created_at),
            expires_at=found.expires_at,
        )

    def _is_misdated(self, run: PolicyRun, created_at: str) -> bool:
        """Whether a snapshot is dated before one that the policy took earlier.

        If the clock is right, what is dated after now is the other one's mistake.
        """
        now, is_trusted = self.context.clock.now(), self.clock_guard.trusted
        return any(
            one.policy_id == run.policy_id
            and one.created_at > created_at
            and not (is_trusted and one.created_at > now)
            for one in self.store.snapshots_of(run.project, run.uuid)
        )

    def _prune(self, record: RunRecord) -> Next:
        waits = self.pruning.advance(record.run)
        return waits or self._change(record.run, runs.over)

    def _change(
        self, run: PolicyRun, change: RunChange, taken: SnapshotRecord | None = None
    ) -> Next:
        changed = self.store.advance_run(run.operation_id, change, taken)
        if changed is None or changed.phase is Phase.OVER:
            return Over(changed.run if changed else None)
        return self.advance(run.operation_id)


def _is_of(snapshot: Snapshot, entry: JournalEntry) -> bool:
    """Whether a snapshot was made while an operation was carried out, and not by somebody since."""
    operation = entry.operation
    try:
        created = parse_moment(snapshot.created_at)
        begun, ended = parse_moment(operation.accepted_at), parse_moment(operation.finished_at)
    except errors.InvalidInput:
        return False
    return _seconds(begun, created) >= -SLACK_S and _seconds(created, ended) >= -SLACK_S


def _seconds(first: datetime, then: datetime) -> float:
    return (then - first).total_seconds()
