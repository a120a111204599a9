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
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protocol import PolicyStore, RunChange
from services.lxd_worker.policies.pruning import Pruning
from services.lxd_worker.policies.records import Phase, RunRecord, SnapshotRecord
from services.lxd_worker.policies.verdicts import Again, Next, Over, Waits
from shared.contracts import errors
from shared.contracts.bounds import A_DAY_S
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind, Submission
from shared.contracts.policies import Policy, PolicyRun, RunState, principal
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

    def skip(self, run_id: str, code: str, message: str = "") -> PolicyRun | None:
        """Record that a snapshot is not even tried."""
        at = self.context.clock.now()
        record = self.store.advance_run(run_id, lambda one: runs.skipped(one, code, message, at))
        return record.run if record else None

    def give_up(self, tried: Mapping[str, errors.FleetError | None]) -> list[PolicyRun]:
        """Try no more what was tried in vain, as the next slot is due; return what is over then.

        `tried` are the ids of runs, with the last error of each. All of them at once, or none.
        Of a snapshot that was asked for the outcome is found out all the same. What was not pruned
        is left for a later run.
        """
        at = self.context.clock.now()

        def change(record: RunRecord) -> RunRecord:
            if record.phase is Phase.PRUNING:
                return runs.over(record)
            error = tried[record.run.operation_id]
            return runs.skipped(record, reasons.BUSY, str(error or ""), at)

        changed = self.store.advance_runs(list(tried), change)
        return [record.run for record in changed if record.phase is Phase.OVER]

    def _take(self, record: RunRecord) -> Next:
        run = record.run
        policy = self.plan.policy(run.policy_id)
        if policy is None:
            return Over(self.skip(run.operation_id, reasons.POLICY_GONE))
        if fault := self.plan.fault(policy.id):
            at = self.context.clock.now()
            return self._change(run, lambda one: runs.refused(one, fault, at))
        instance = self.instances.find(run.project, run.instance, run.uuid)
        if instance is None:
            return Over(self.skip(run.operation_id, reasons.INSTANCE_GONE))
        if not self.plan.selects(policy, instance):
            return Over(self.skip(run.operation_id, reasons.NOT_SELECTED))
        return self._submit(run, policy, instance)

    def _submit(self, run: PolicyRun, policy: Policy, instance: Instance) -> Next:
        at = self.context.clock.now()
        try:
            operation = self.operations.submit(self._submission(run, policy, instance))
        except (errors.InstanceNotFound, errors.InstanceReplaced) as exc:
            return Over(self.skip(run.operation_id, reasons.INSTANCE_GONE, str(exc)))
        except errors.TemporaryError as exc:
            return Again(exc)
        except errors.FleetError as exc:
            refusal = exc
            return self._change(run, lambda one: runs.refused(one, refusal, at))
        return self._change(run, lambda one: runs.submitted(one, operation))

    def _submission(self, run: PolicyRun, policy: Policy, instance: Instance) -> Submission:
        commands = [command for command in (policy.pre, policy.post) if command]
        timeout_s = TIMEOUT_S + sum(command.timeout_s for command in commands)
        return Submission(
            kind=Kind.SNAPSHOT,
            host=self.context.host,
            instance=instance.name,
            uuid=instance.uuid,
            principal=principal(policy.name),
            project=instance.project,
            operation_id=run.operation_id,
            start_by=f"{self.context.clock.unix() + START_WITHIN_S:.3f}",
            start_within_s=START_WITHIN_S,
            timeout_s=min(timeout_s, float(A_DAY_S)),
            arguments=Arguments(
                snapshot=snapshot_name(policy, instance.name, parse_moment(run.slot)),
                stateful=policy.stateful and is_running(instance.status),
                pre=policy.pre,
                post=policy.post,
            ),
        )

    def _conclude(self, record: RunRecord) -> Next:
        run = record.run
        entry = self.context.journal.find(run.operation_id)
        if entry and not entry.operation.final:
            return Waits(run.operation_id)
        taken = self._taken(run, entry) if entry else None
        at = self.context.clock.now()
        return self._change(run, lambda one: runs.ended(one, entry, at), taken)

    def _taken(self, run: PolicyRun, entry: JournalEntry) -> SnapshotRecord | None:
        """Return the record of the snapshot that an operation took; None: it is not there."""
        at = self.context.clock.now()
        if runs.ended(RunRecord(run=run, phase=Phase.TAKING), entry, at).run.state is not (
            RunState.TAKEN
        ):
            return None
        instance = self.instances.find(run.project, run.instance, run.uuid)
        name = instance.name if instance else run.instance
        listed = self.context.lxd.snapshots(run.project, name)
        found = next((one for one in listed if one.name == run.snapshot), None)
        if found is None or not _is_of(found, entry):
            log.warning("snapshot of a policy is not there", extra={"operation": run.operation_id})
            return None
        return SnapshotRecord(
            project=run.project,
            uuid=run.uuid,
            snapshot=found.name,
            created_at=found.created_at,
            policy_id=run.policy_id,
            policy=run.policy,
            slot=run.slot,
            expires_at=found.expires_at,
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
