"""The calls about snapshot policies, and about snapshots as policies see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from threading import Lock

from msgspec.structs import replace

from services.lxd_worker.instance_queries import list_snapshots
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.policies.clock_guard import ClockGuard
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protection import ProtectionReport
from services.lxd_worker.policies.protocol import Calculate, PolicyStore
from services.lxd_worker.policies.records import SnapshotRecord
from services.lxd_worker.policies.scheduler import PolicyScheduler
from services.lxd_worker.policies.snapshots import held, record_of, with_records
from shared.contracts.errors import (
    InstanceNotFound,
    InstanceReplaced,
    InvalidInput,
    SnapshotNotFound,
)
from shared.contracts.instances import DEFAULT_PROJECT, Instance
from shared.contracts.operations import Kind
from shared.contracts.policies import (
    MOST_RUNS,
    InstanceSimulation,
    Plan,
    Policy,
    PolicyRunPage,
    RunRequest,
    RunsStarted,
    Simulation,
    SimulationRequest,
    SnapshotMark,
)
from shared.contracts.worker_api import SnapshotList
from shared.policies.simulation import simulate
from shared.policies.validation import check_policy, check_tags

# A simulation, with the wait for its turn, so that nobody who gave up on it keeps the host at work.
LONGEST_SIMULATION_S = 5.0
# Records of snapshots: so many of policies, and marks, has no host.
MOST_RECORDS = 1_000_000


@dataclass(frozen=True, slots=True)
class HostPolicies:
    """Answers the snapshots service and the gateways; errors as listed in `WorkerClient`.

    `deciding` as in `Pruning`.
    """

    context: OperationContext
    store: PolicyStore
    plan: HostPlan
    clock_guard: ClockGuard
    instances: HostInstances
    scheduler: PolicyScheduler
    protection: ProtectionReport
    calculate: Calculate
    deciding: Lock
    _calculating: Lock = field(default_factory=Lock)

    def set_plan(self, plan: Plan) -> None:
        """Take a plan, or confirm the clock with the present one."""
        with self.deciding:
            self.plan.set(plan)
        present = self.plan.plan
        if present and present.plan_version == plan.plan_version:
            self.clock_guard.compare(plan.clock)
        self.protection.request()

    def run_policy(self, request: RunRequest) -> RunsStarted:
        """Run a policy now."""
        wanted = replace(request, project=request.project or DEFAULT_PROJECT)
        return RunsStarted(instances=self.scheduler.run_now(wanted))

    def simulate_policy(self, request: SimulationRequest) -> Simulation:
        """Return what a policy would do from now on.

        One at a time, and for some seconds at most: what is not found out by then is left out.
        """
        check_policy(request.policy)
        selected = self._simulated(request)
        asked = selected[: request.limit]
        until = self.context.clock.monotonic() + LONGEST_SIMULATION_S
        found: list[tuple[InstanceSimulation, bool]] = []
        if self._calculating.acquire(timeout=LONGEST_SIMULATION_S):
            try:
                found = list(self._simulations(request, asked, until))
            finally:
                self._calculating.release()
        return Simulation(
            selected=len(selected),
            instances=[simulation for simulation, _ in found],
            truncated=len(found) < len(asked) or any(is_cut for _, is_cut in found),
        )

    def mark_snapshot(self, mark: SnapshotMark) -> None:
        """Protect a snapshot from all policies, or tag it."""
        check_tags("tags", mark.tags)
        with self.deciding:
            # What is being deleted now may still be listed, and be gone before it is marked.
            self._require_not_deleted(mark)
            self._mark(mark)
            self._require_not_deleted(mark)

    def policy_runs_since(self, sequence: int, limit: int) -> PolicyRunPage:
        """Return what changed after a sequence number, oldest change first."""
        limit = max(1, min(limit, MOST_RUNS))
        found = self.store.runs_since(sequence, limit)
        more = bool(found and self.store.runs_since(found[-1].sequence, 1))
        return PolicyRunPage(runs=found, more=more)

    def snapshots(self, project: str, name: str, uuid: str) -> SnapshotList:
        """Return the snapshots of the instance that has this uuid, oldest first."""
        listed = list_snapshots(self.context.lxd, project, name, uuid)
        if not uuid:
            return listed
        instance = self.instances.find(project, name, uuid)
        records = self.store.snapshots_of(project, uuid) if instance else []
        created_at = instance.created_at if instance else ""
        return replace(listed, snapshots=with_records(listed.snapshots, records, created_at))

    def tidy(self, journal_days_s: float) -> None:
        """Delete what is older than the journal; raises DatabaseUnavailable."""
        now = self.context.clock.unix()
        cached = self.instances.cached()
        present = None if cached is None else [(one.project, one.uuid) for one in cached.values()]
        self.store.tidy(present, now, now - journal_days_s)

    def _mark(self, mark: SnapshotMark) -> None:
        check_name(mark.name)
        instance = self.context.lxd.instance(mark.project, mark.name).instance
        if instance is None:
            raise InstanceNotFound(mark.name)
        if instance.uuid != mark.uuid:
            raise InstanceReplaced(mark.name)
        listed = self.context.lxd.snapshots(mark.project, mark.name)
        found = next((one for one in listed if one.name == mark.snapshot), None)
        if found is None:
            raise SnapshotNotFound(mark.name, mark.snapshot)
        if self.instances.is_ambiguous(mark.uuid):
            raise InvalidInput("name", "an instance whose volatile.uuid no other one has")
        known = self.store.snapshots_of(mark.project, mark.uuid)
        new = SnapshotRecord(
            project=mark.project,
            uuid=mark.uuid,
            snapshot=mark.snapshot,
            created_at=found.created_at,
            instance_created_at=instance.created_at,
            expires_at=found.expires_at,
        )
        same = record_of(found, known, instance.created_at)
        marked = replace(same or new, protected=mark.protected, tags=mark.tags)
        if marked.policy_id or marked.protected or marked.tags:
            if not self.store.keep_snapshot(marked, MOST_RECORDS):
                raise InvalidInput("snapshot", f"at most {MOST_RECORDS} marks on a host")
        else:
            self.store.forget_snapshot(mark.project, mark.uuid, mark.snapshot)

    def _require_not_deleted(self, mark: SnapshotMark) -> None:
        """Raise SnapshotNotFound if the snapshot is just being deleted."""
        for entry in self.context.journal.unfinished():
            operation = entry.operation
            is_deletion = operation.kind is Kind.DELETE_SNAPSHOT
            there = operation.project, operation.arguments.snapshot
            is_of_same = operation.uuid == mark.uuid or operation.instance == mark.name
            if is_deletion and is_of_same and there == (mark.project, mark.snapshot):
                raise SnapshotNotFound(mark.name, mark.snapshot)

    def _simulated(self, request: SimulationRequest) -> Sequence[Instance]:
        """Return the instances of a simulation; raises InstanceNotFound for one that is gone."""
        selected = self.instances.selected_by(request.policy)
        if not request.name:
            return selected
        place = (request.project or DEFAULT_PROJECT, request.name)
        check_name(request.name)
        if self.instances.named(*place) is None:
            raise InstanceNotFound(request.name)
        return [one for one in selected if (one.project, one.name) == place]

    def _simulations(
        self, request: SimulationRequest, asked: Sequence[Instance], until: float
    ) -> Iterator[tuple[InstanceSimulation, bool]]:
        """Yield the simulations that there is time for, and whether each is cut short."""
        for instance in asked:
            if self.context.clock.monotonic() >= until:
                return
            yield self._simulate(request.policy, instance, request.days, until)

    def _simulate(
        self, policy: Policy, instance: Instance, days: int, until: float
    ) -> tuple[InstanceSimulation, bool]:
        listed = self.context.lxd.snapshots(instance.project, instance.name)
        records = self.store.snapshots_of(instance.project, instance.uuid)
        plan = self.plan.plan
        calculation = partial(
            simulate,
            policy,
            self.context.host,
            instance.name,
            held(listed, records, policy.id, instance.created_at),
            datetime.fromtimestamp(self.plan.now(), UTC),
            days,
            plan.delay_s if plan else 0.0,
            begun=self.plan.begun(policy),
            is_over=lambda: self.context.clock.monotonic() >= until,
        )
        found = self.calculate(calculation)
        simulation = InstanceSimulation(
            name=instance.name,
            uuid=instance.uuid,
            project=instance.project,
            events=found.events,
            snapshots=found.judged,
        )
        return simulation, found.truncated
