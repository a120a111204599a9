"""Carries out the host's plan: begins the runs of slots that are due, so many at the same time.

A run is worked on when its turn comes, when an operation of its own has ended, and after a
temporary error. In between it is a row in the database, and costs nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.policies.records import Phase, RunRecord
from services.lxd_worker.policies.run_steps import RunSteps
from services.lxd_worker.policies.runs import waiting_run
from services.lxd_worker.policies.verdicts import Again, Next, Waits
from services.lxd_worker.protocols import Signal
from shared.contracts.errors import (
    InstanceNotFound,
    InvalidInput,
    LxdUnavailable,
    PolicyNotFound,
    TemporaryError,
)
from shared.contracts.operations import Operation
from shared.contracts.policies import Policy, PolicyRun, RunRequest, principal
from shared.platform.run.backoff import Backoff
from shared.policies.moments import parse_moment, slot_text

log = logging.getLogger(__name__)

# The longest sleep: then it is seen that the clock was set.
MOST_SLEEP_S = 60.0
LEAST_SLEEP_S = 0.01
# After LXD could not say which instances there are.
LXD_AGAIN_S = 5.0
# A run that has heard nothing for so long looks for itself.
LOOK_AGAIN_S = 60.0


@dataclass(slots=True)
class _Queued:
    """A run whose turn has not come; `error` is why it was put off."""

    run: PolicyRun
    not_before: float = 0.0
    error: TemporaryError | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=30.0))


@dataclass(slots=True)
class _Active:
    """A run that takes one of the places; `driven`: somebody works on it now."""

    queued: _Queued
    looked_at: float
    driven: bool = False
    awaits: str = ""


@dataclass(slots=True)
class PolicyScheduler:
    """Begins runs and drives them. `spawn` calls a function with a run's id in a greenthread.

    `wake` wakes whoever calls `work`; `changed` is called with runs that have changed, `over` with
    each one at its end.
    """

    clock: WorkerClock
    store: PolicyStore
    plan: HostPlan
    instances: HostInstances
    steps: RunSteps
    spawn: Callable[[Callable[[str], None], str], object]
    wake: Signal
    changed: Callable[[PolicyRun], None]
    over: Callable[[PolicyRun], None]
    _queue: dict[str, _Queued] = field(default_factory=dict)
    _active: dict[str, _Active] = field(default_factory=dict)
    # Operations that have ended before their run waited for that.
    _ended: set[str] = field(default_factory=set)
    _not_before: float = 0.0
    _missing_at: float = 0.0

    def resume(self) -> None:
        """Go on with the runs that were not over when the worker stopped."""
        self._enqueue(
            sorted(self.store.unfinished_runs(), key=lambda one: one.phase is Phase.WAITING)
        )
        self._missing_at = self.clock.monotonic() + LOOK_AGAIN_S

    def work(self) -> float:
        """Do what is due, and return the seconds until there is more; raises DatabaseUnavailable.

        Runs that end, new plans and requests wake whoever sleeps so long.
        """
        self.plan.follow_clock()
        self._find_missing()
        if self._not_before <= self.clock.monotonic():
            self._begin_due()
        self._dispatch()
        self._look_after()
        return self._pause_s()

    def run_now(self, request: RunRequest) -> int:
        """Record runs of a policy for its instances, or for one; return for how many.

        Raises PolicyNotFound, InstanceNotFound, InvalidInput, LxdUnavailable, DatabaseUnavailable.
        """
        # One moment is one slot, in whatever words.
        slot = slot_text(parse_moment(request.at))
        policy = self.plan.policy(request.policy_id)
        if policy is None:
            raise PolicyNotFound(request.policy_id)
        if fault := self.plan.fault(policy.id):
            raise fault
        selected = self.instances.selected_by(policy)
        if request.name:
            place = (request.project, request.name)
            selected = [one for one in selected if (one.project, one.name) == place]
            if not selected:
                raise InstanceNotFound(request.name)
        requested = [waiting_run(policy, one, slot, manual=True) for one in selected]
        self._enqueue(self.store.begin_runs(requested))
        self.wake()
        return len(requested)

    def on_ended(self, operation: Operation) -> None:
        """Go on with the run that has waited for an operation."""
        operation_id = operation.operation_id
        waiting = (one for one, active in self._active.items() if active.awaits == operation_id)
        if run_id := next(waiting, None):
            self._drive_soon(run_id)
        elif self._active and operation.principal.startswith(principal("")):
            self._ended.add(operation_id)

    def oldest_slots(self) -> dict[tuple[str, str], str]:
        """Return the oldest slots whose snapshot is still to come, by policy and uuid."""
        pending = [one.run for one in self._queue.values()]
        pending += [one.queued.run for one in self._active.values()]
        oldest: dict[tuple[str, str], str] = {}
        for run in pending:
            key = run.policy_id, run.uuid
            oldest[key] = min(run.slot, oldest.get(key, run.slot))
        return oldest

    def _begin_due(self) -> None:
        now = self.plan.now()
        try:
            for policy in self.plan.policies:
                if self.plan.due_at(policy) <= now:
                    self._begin_slot_unless_invalid(policy)
        except LxdUnavailable as exc:
            log.warning("slots wait for lxd", extra={"error": str(exc)})
            self._not_before = self.clock.monotonic() + LXD_AGAIN_S

    def _begin_slot_unless_invalid(self, policy: Policy) -> None:
        try:
            self._begin_slot(policy)
        except InvalidInput as exc:
            self.plan.set_aside(policy, exc)

    def _begin_slot(self, policy: Policy) -> None:
        slot = self.plan.slot_due(policy)
        if slot is None:
            return
        selected = self.instances.selected_by(policy)
        begun = [waiting_run(policy, one, slot_text(slot)) for one in selected]
        new = self.store.begin_runs(begun, policy.id, slot.timestamp())
        self.plan.on_begun(policy, slot.timestamp())
        log.info("slot begun", extra={"policy": policy.name, "instances": len(new)})
        self._enqueue(new)
        self._supersede(policy.id, [record.run for record in new])

    def _supersede(self, policy_id: str, new: Sequence[PolicyRun]) -> None:
        """Give up what still waits of the slots before."""
        uuids, ids = {run.uuid for run in new}, {run.operation_id for run in new}
        before = {
            run_id: queued.error
            for run_id, queued in self._queue.items()
            if queued.run.policy_id == policy_id and queued.run.uuid in uuids and run_id not in ids
        }
        for run in self.steps.give_up(before) if before else ():
            if self._queue.pop(run.operation_id, None):
                self._tell_over(run)

    def _enqueue(self, records: Iterable[RunRecord]) -> None:
        for record in records:
            run_id = record.run.operation_id
            if run_id not in self._active:
                self._queue.setdefault(run_id, _Queued(record.run))

    def _find_missing(self) -> None:
        """Go on with runs that are recorded and that no place here knows of.

        So it is if the database failed in between, or recorded what it said it had not.
        """
        now = self.clock.monotonic()
        if now < self._missing_at:
            return
        self._missing_at = now + LOOK_AGAIN_S
        # Those that end while the database is asked are none of them.
        known = {*self._queue, *self._active}
        records = self.store.unfinished_runs()
        self._enqueue(one for one in records if one.run.operation_id not in known)

    def _dispatch(self) -> None:
        at_once = self.plan.plan.at_once if self.plan.plan else 1
        policies = Counter(one.queued.run.policy_id for one in self._active.values())
        uuids = {one.queued.run.uuid for one in self._active.values()}
        now = self.clock.monotonic()
        for run_id, queued in list(self._queue.items()):
            if len(self._active) >= at_once:
                return
            run = queued.run
            policy = self.plan.policy(run.policy_id)
            is_full = policy is not None and policies[run.policy_id] >= policy.at_once
            if queued.not_before <= now and not is_full and run.uuid not in uuids:
                policies[run.policy_id] += 1
                uuids.add(run.uuid)
                del self._queue[run_id]
                self._active[run_id] = _Active(queued, now)
                self._drive_soon(run_id)

    def _look_after(self) -> None:
        now = self.clock.monotonic()
        for run_id, active in list(self._active.items()):
            if active.looked_at + LOOK_AGAIN_S <= now:
                self._drive_soon(run_id)

    def _drive_soon(self, run_id: str) -> None:
        active = self._active[run_id]
        if not active.driven:
            active.driven, active.awaits = True, ""
            active.looked_at = self.clock.monotonic()
            self.spawn(self._drive, run_id)

    def _drive(self, run_id: str) -> None:
        """Work on a run until it waits for something."""
        active = self._active[run_id]
        result: Next = Again(TemporaryError("interrupted"))
        try:
            result = self._advance(run_id)
            while isinstance(result, Waits) and result.operation_id in self._ended:
                self._ended.discard(result.operation_id)
                result = self._advance(run_id)
        finally:
            active.driven = False
            self._settle(run_id, active, result)

    def _advance(self, run_id: str) -> Next:
        try:
            return self.steps.advance(run_id)
        except TemporaryError as exc:
            return Again(exc)

    def _settle(self, run_id: str, active: _Active, result: Next) -> None:
        self.changed(active.queued.run)
        if isinstance(result, Waits):
            active.awaits = result.operation_id
            return
        del self._active[run_id]
        if not self._active:
            self._ended.clear()
        if isinstance(result, Again):
            queued = active.queued
            queued.error = result.error
            queued.not_before = self.clock.monotonic() + queued.backoff.next_s()
            self._queue[run_id] = queued
        elif result.run:
            self._tell_over(result.run)
        self.wake()

    def _tell_over(self, run: PolicyRun) -> None:
        log.info("policy run over", extra={"operation": run.operation_id, "state": run.state.value})
        self.over(run)
        self.changed(run)

    def _pause_s(self) -> float:
        now, unix = self.clock.monotonic(), self.plan.now()
        pauses = [MOST_SLEEP_S]
        pauses += [one.not_before - now for one in self._queue.values() if one.not_before > now]
        earliest = self._not_before - now
        pauses += [max(earliest, self.plan.due_at(one) - unix) for one in self.plan.policies]
        return max(LEAST_SLEEP_S, min(pauses))
