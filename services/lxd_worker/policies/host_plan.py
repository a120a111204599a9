"""The plan that this host carries out, and which of its policies are due."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock

from msgspec.structs import replace

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.policies import cursors
from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.policies.records import Cursor
from shared.contracts.errors import InvalidInput
from shared.contracts.instances import Instance
from shared.contracts.policies import Plan, Policy
from shared.policies.plan import digest
from shared.policies.schedule import delay_s, latest_slot, next_slot
from shared.policies.selection import selects
from shared.policies.validation import check_contents, check_policy

log = logging.getLogger(__name__)

_A_SECOND = timedelta(seconds=1)
# No clock is believed beyond the year 9000: of later slots there are hardly any dates.
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


@dataclass(slots=True)
class HostPlan:
    """Keeps the plan of one host. Every method that writes raises DatabaseUnavailable.

    `changed` is called with every new plan.
    """

    host: str
    store: PolicyStore
    clock: WorkerClock
    changed: Callable[[], None]
    _plan: Plan | None = field(init=False)
    _policies: dict[str, Policy] = field(init=False)
    _cursors: dict[str, Cursor] = field(init=False)
    # When the runs of each policy's next slot begin, in seconds since 1970.
    _due: dict[str, float] = field(init=False, default_factory=dict)
    # What is wrong with policies that this host cannot carry out.
    _faults: dict[str, InvalidInput] = field(init=False)
    _setting: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        self._plan = self.store.plan()
        self._policies = _by_id(self._plan)
        self._cursors = self.store.cursors()
        # Schedules are looked at when they are due: all of them would take too long here.
        self._faults = _faults(self.policies, check_contents)

    @property
    def plan(self) -> Plan | None:
        """The present plan; None: the centre has sent none yet."""
        return self._plan

    @property
    def version(self) -> int:
        """The version of the present plan; 0: there is none."""
        return self._plan.plan_version if self._plan else 0

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies of the present plan."""
        return self._plan.policies if self._plan else ()

    def policy(self, policy_id: str) -> Policy | None:
        """Return a policy of the present plan."""
        return self._policies.get(policy_id)

    def fault(self, policy_id: str) -> InvalidInput | None:
        """Return why this host cannot carry out a policy of the plan; None: it can."""
        return self._faults.get(policy_id)

    def selects(self, policy: Policy, instance: Instance) -> bool:
        """Whether a policy selects an instance; one that LXD has given no uuid yet waits for it."""
        place = (self.host, instance.project, instance.name)
        return bool(instance.uuid) and selects(policy.selection, *place, instance.labels)

    def set(self, plan: Plan) -> None:
        """Take a plan, unless it is older than the present one, or the same.

        A policy that is new, or has a new schedule, begins now; one that this host cannot carry out
        is left alone until another plan, or the next start. Raises InvalidInput for other mistakes.
        """
        with self._setting:
            if self._is_newer(plan):
                self._replace(plan)

    def now(self) -> float:
        """Return the seconds since 1970, at most those of the year 9000."""
        return min(self.clock.unix(), _LATEST)

    def due_at(self, policy: Policy) -> float:
        """Return when the runs of a policy's next slot begin, in seconds since 1970.

        Never (infinity) for one that this host cannot carry out.
        """
        if policy.id not in self._due:
            slot = self.next_slot(policy)
            self._due[policy.id] = slot.timestamp() + self.delay_s(policy) if slot else math.inf
        return self._due[policy.id]

    def next_slot(self, policy: Policy) -> datetime | None:
        """Return the first slot for which no runs are recorded; None: this host begins none."""
        if policy.id in self._faults:
            return None
        try:
            return next_slot(policy.schedule, self._after(policy))
        except InvalidInput as exc:
            self.set_aside(policy, exc)
            return None

    def last_slot(self, policy: Policy) -> datetime | None:
        """Return the last slot whose runs are recorded; None: the policy has had none here."""
        cursor = self._cursors.get(policy.id)
        if cursor is None or policy.id in self._faults:
            return None
        begun = _moment(cursors.reached(cursor))
        slot = latest_slot(policy.schedule, begun - _A_SECOND, begun)
        return slot if slot == begun else None

    def set_aside(self, policy: Policy, fault: InvalidInput) -> None:
        """Have a policy left alone, which this host cannot carry out."""
        _log_fault(policy, fault)
        self._faults[policy.id] = fault
        self._due[policy.id] = math.inf

    def begun(self, policy: Policy) -> datetime:
        """Return the last slot that is recorded for a policy as it is given.

        One that the host has not, or has with another schedule, begins now.
        """
        plan_delay_s = self._plan.delay_s if self._plan else 0.0
        return _moment(cursors.reached(self._cursor(policy, plan_delay_s)))

    def delay_s(self, policy: Policy) -> float:
        """Return how long after a slot its runs begin."""
        return delay_s(policy.schedule, self.host, self._plan.delay_s if self._plan else 0.0)

    def slot_due(self, policy: Policy) -> datetime | None:
        """Return the newest slot whose runs are to begin; those before it are left out."""
        until = self.now() - self.delay_s(policy)
        return latest_slot(policy.schedule, self._after(policy), _moment(until))

    def on_begun(self, policy: Policy, slot: float) -> None:
        """Take in that the runs of a slot are recorded."""
        if cursor := self._cursors.get(policy.id):
            self._move(policy.id, cursor, cursors.after_slot(cursor, slot))

    def follow_clock(self) -> None:
        """Go back to now with policies whose slots were recorded by a clock that was ahead.

        A slot of which a run is recorded has none a second time. If it is now that is wrong, the
        policies go on from their last slots when the clock is right again.
        """
        now = self.now()
        for policy_id, cursor in list(self._cursors.items()):
            moved = cursors.by_clock(cursor, now)
            if moved is not cursor:
                self.store.set_behind(policy_id, moved.behind)
                self._move(policy_id, cursor, moved)

    def _is_newer(self, plan: Plan) -> bool:
        """Whether a valid plan replaces the present one; raises InvalidInput."""
        _check(plan, self.host)
        now = self._plan
        if now and (plan.plan_version, plan.digest) == (now.plan_version, now.digest):
            return False
        if now and plan.plan_version == now.plan_version:
            raise InvalidInput("digest", f"that of version {now.plan_version}, or a new version")
        return now is None or plan.plan_version > now.plan_version

    def _replace(self, plan: Plan) -> None:
        faults: dict[str, InvalidInput] = {}
        for policy in plan.policies:
            if policy != self._policies.get(policy.id) or policy.id in self._faults:
                faults |= _faults([policy], check_policy)
                # Checking a schedule takes milliseconds, in which the host's heartbeat waits.
                self.clock.sleep(0)
        now = self.now()
        known = {
            policy_id: cursors.has_left(cursor, now)
            for policy_id, cursor in self._cursors.items()
            if policy_id in self._policies or cursors.is_remembered(cursor, now)
        }
        known |= {policy.id: self._cursor(policy, plan.delay_s) for policy in plan.policies}
        self.store.replace_plan(plan, known)
        self._plan, self._policies, self._cursors = plan, _by_id(plan), known
        self._faults = faults
        self._due.clear()
        self.changed()

    def _cursor(self, policy: Policy, plan_delay_s: float) -> Cursor:
        known, now = self._cursors.get(policy.id), self.now()
        if known and cursors.is_of(known, policy.schedule):
            away_s = delay_s(policy.schedule, self.host, plan_delay_s)
            if cursors.is_back(known, now, away_s):
                return replace(known, left_at=None) if known.left_at is not None else known
        return cursors.begins_now(policy.schedule, now)

    def _move(self, policy_id: str, cursor: Cursor, moved: Cursor) -> None:
        if self._cursors.get(policy_id) is cursor:
            self._cursors[policy_id] = moved
        if policy_id not in self._faults:
            self._due.pop(policy_id, None)

    def _after(self, policy: Policy) -> datetime:
        cursor = self._cursors.get(policy.id)
        return _moment(cursors.reached(cursor) if cursor else self.now())


def _check(plan: Plan, host: str) -> None:
    if plan.host != host:
        raise InvalidInput("host", f"this worker serves {host}")
    if plan.digest != digest(plan.policies, plan.at_once, plan.delay_s):
        raise InvalidInput("digest", "that of the policies and limits of the plan")
    if len(_by_id(plan)) != len(plan.policies):
        raise InvalidInput("policies", "each once")


def _faults(policies: Iterable[Policy], check: Callable[[Policy], None]) -> dict[str, InvalidInput]:
    """Return what is wrong with policies, by their ids."""
    found = {}
    for policy in policies:
        try:
            check(policy)
        except InvalidInput as exc:
            _log_fault(policy, exc)
            found[policy.id] = exc
    return found


def _log_fault(policy: Policy, fault: InvalidInput) -> None:
    extra = {"policy": policy.name, "error": str(fault)}
    log.warning("policy cannot be carried out here", extra=extra)


def _by_id(plan: Plan | None) -> dict[str, Policy]:
    return {policy.id: policy for policy in plan.policies} if plan else {}


def _moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)
