"""Deletes the snapshots of a policy that its retention does not keep, one after another.

Before each of them everything is asked again: the present plan, the clock, LXD's list. Deleted is
only what is recorded as taken by this policy, under its name and with its time of creation, and
only while nobody works with the instance. From the judgement until the deletion is accepted nobody
can replace the plan, or protect a snapshot: whoever is told that it is protected finds it there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Lock

from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.policies import runs
from services.lxd_worker.policies.clock_guard import ClockGuard
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.policies.records import SnapshotRecord
from services.lxd_worker.policies.snapshots import held
from services.lxd_worker.policies.verdicts import Again, Waits
from shared.contracts import errors
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind, State, Submission
from shared.contracts.policies import PolicyRun, principal, prune_operation
from shared.contracts.worker_api import Snapshot
from shared.policies.retention import judge, pruned

log = logging.getLogger(__name__)

TIMEOUT_S = 3600.0
START_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Pruning:
    """Prunes at the end of a run. Raises DatabaseUnavailable and LxdUnavailable.

    `deciding` is held by whoever judges snapshots, or changes what they are judged by.
    """

    context: OperationContext
    operations: HostOperations
    store: PolicyStore
    plan: HostPlan
    instances: HostInstances
    clock_guard: ClockGuard
    deciding: Lock

    def advance(self, run: PolicyRun) -> Waits | Again | None:
        """Delete the next snapshot; return what is waited for, None: there is none left."""
        instance = self.instances.find(run.project, run.instance, run.uuid)
        if instance is None:
            return None
        recorded = self.store.snapshots_of(instance.project, instance.uuid)
        listed = self.context.lxd.snapshots(instance.project, instance.name)
        self._record_pruned(run, recorded, listed)
        if self.instances.is_ambiguous(instance.uuid):
            return None
        self.store.reconcile(instance, recorded, listed, self.context.clock.unix())
        if not self.clock_guard.trusted:
            log.warning("nothing is pruned by a clock that may be wrong", extra=_names(run))
            return None
        for snapshot in self._superfluous(run, instance, listed):
            operation_id = prune_operation(run.operation_id, snapshot.name)
            entry = self.context.journal.find(operation_id)
            if entry and not entry.operation.final:
                return Waits(operation_id)
            if entry is None and (waits := self._delete(run, instance, snapshot, listed)):
                return waits
        return None

    def _superfluous(
        self, run: PolicyRun, instance: Instance, listed: Sequence[Snapshot]
    ) -> list[Snapshot]:
        """Return the snapshots that the policy does not keep, the oldest first."""
        policy = self.plan.policy(run.policy_id)
        # It may have lost a label since, or its name.
        present = self.instances.find(run.project, run.instance, run.uuid)
        if present is None or present.created_at != instance.created_at:
            return []
        if policy is None or self.plan.fault(policy.id):
            return []
        if not self.plan.selects(policy, present):
            return []
        if self.instances.is_ambiguous(instance.uuid):
            return []
        now = self.context.clock.unix()
        records = self.store.snapshots_of(instance.project, instance.uuid)
        owned = held(listed, records, policy.id, instance.created_at)
        moment = datetime.fromtimestamp(now, UTC)
        judged = judge(owned, policy.retention, policy.schedule.timezone, moment)
        by_name = {snapshot.name: snapshot for snapshot in listed}
        return [by_name[one.held.name] for one in pruned(judged)]

    def _delete(
        self, run: PolicyRun, instance: Instance, snapshot: Snapshot, listed: Sequence[Snapshot]
    ) -> Waits | Again | None:
        """Have a snapshot deleted; None: that is impossible, or no longer wanted."""
        if self._is_in_use(instance, snapshot.name):
            return Again(errors.LxdBusy("the instance or its snapshot is in use"))
        with self.deciding:
            is_trusted = self.clock_guard.trusted
            if not is_trusted or snapshot not in self._superfluous(run, instance, listed):
                return None
            return self._submit(run, self._submission(run, instance, snapshot))

    def _submission(self, run: PolicyRun, instance: Instance, snapshot: Snapshot) -> Submission:
        return Submission(
            kind=Kind.DELETE_SNAPSHOT,
            host=self.context.host,
            instance=instance.name,
            uuid=instance.uuid,
            principal=principal(run.policy),
            project=instance.project,
            operation_id=prune_operation(run.operation_id, snapshot.name),
            start_by=f"{self.context.clock.unix() + START_WITHIN_S:.3f}",
            start_within_s=START_WITHIN_S,
            timeout_s=TIMEOUT_S,
            arguments=Arguments(snapshot=snapshot.name, snapshot_created_at=snapshot.created_at),
        )

    def _submit(self, run: PolicyRun, submission: Submission) -> Waits | Again | None:
        try:
            self.operations.submit(submission)
        except errors.TemporaryError as exc:
            return Again(exc)
        except errors.FleetError as exc:
            log.warning("snapshot not pruned", extra={**_names(run), "error": str(exc)})
            return None
        return Waits(submission.operation_id)

    def _is_in_use(self, instance: Instance, snapshot: str) -> bool:
        if self.context.lxd.is_in_use(instance.project, instance.name):
            return True
        creations = (
            entry.operation.arguments.create for entry in self.context.journal.unfinished()
        )
        sources = (new.copy_of for new in creations if new and new.copy_of)
        return any((one.uuid, one.snapshot) == (instance.uuid, snapshot) for one in sources)

    def _record_pruned(
        self, run: PolicyRun, recorded: Iterable[SnapshotRecord], listed: Iterable[Snapshot]
    ) -> None:
        """Record what this run has deleted and what was not recorded before a crash."""
        there = {snapshot.name for snapshot in listed}
        for record in recorded:
            name = record.snapshot
            if record.policy_id != run.policy_id or name in there:
                continue
            entry = self.context.journal.find(prune_operation(run.operation_id, name))
            if entry and entry.operation.state is State.DONE:
                self.store.advance_run(run.operation_id, partial(runs.with_pruned, snapshot=name))
                self.store.forget_snapshot(run.project, run.uuid, name)


def _names(run: PolicyRun) -> dict[str, object]:
    return {"operation": run.operation_id, "policy": run.policy, "instance": run.instance}
