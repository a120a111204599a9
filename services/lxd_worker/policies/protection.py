"""How well the host's instances are protected by its policies.

Nothing is polled: which snapshots there are is recorded as they are taken and pruned. What somebody
else deletes is told by LXD's events, upon which that instance's snapshots are listed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from services.lxd_worker.policies.clock_guard import ClockGuard
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.policies.records import Failures, Stock
from services.lxd_worker.protocols import Lxd, Signal
from services.lxd_worker.reports.publishing import FailureLog, ReportContext
from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.errors import BrokerUnavailable, InvalidInput, LxdUnavailable
from shared.contracts.events import ProtectionReported
from shared.contracts.instances import Instance
from shared.contracts.policies import (
    MOST_POLICIES_OF_ONE,
    Policy,
    PolicyRun,
    Protection,
    ProtectionState,
)
from shared.lxd.models import LifecycleEvent
from shared.policies.moments import parse_moment, slot_text

log = logging.getLogger(__name__)

# Also if nothing has changed.
REGULAR_S = 60.0
# A slot whose snapshot has not come so long after it is overdue.
LATE_S = 300.0
# Of the instances whose snapshots are to be listed again, so many are at each report.
LISTED_AT_ONCE = 20
_CHANGES_SNAPSHOTS = ("instance-snapshot-deleted", "instance-snapshot-renamed")

Place = tuple[str, str]


class SlotTimes(NamedTuple):
    """A policy's next slot, and its last one if that is over; empty: there is none.

    A slot before `overdue` should have its snapshot by now: the host began it some time ago.
    """

    following: str
    overdue: str
    over: str


@dataclass(slots=True)
class ProtectionReport:
    """Sends the protection of all instances; `signal` wakes whoever calls `publish`.

    `oldest_slots` returns the oldest slots whose snapshot is still to come, by policy and uuid.
    """

    context: ReportContext
    store: PolicyStore
    plan: HostPlan
    instances: HostInstances
    clock_guard: ClockGuard
    lxd: Lxd
    signal: Signal
    oldest_slots: Callable[[], Mapping[tuple[str, str], str]]
    _stock: dict[tuple[str, str], Stock] | None = None
    _failures: dict[tuple[str, str], Failures] = field(default_factory=dict)
    _last: ProtectionReported | None = None
    _sent_at: float = 0.0
    _requested: bool = True
    _failures_changed: bool = True
    # Instances by project and name, and by project and uuid, that are looked at again.
    _stale: dict[Place, None] = field(default_factory=dict)
    _restocked: dict[tuple[str, str], None] = field(default_factory=dict)
    _failure_log: FailureLog = field(
        default_factory=lambda: FailureLog(log, "protection not reported")
    )
    # By the ids of policies, and the projects and uuids of instances; None: nobody has looked yet.
    _selected_since: dict[tuple[str, str, str], str] | None = None

    def request(self) -> None:
        """Have it sent soon, whether or not it has changed."""
        self._requested = True
        self.signal()

    def on_run(self, run: PolicyRun) -> None:
        """Take in that a run has changed."""
        self._restocked[run.project, run.uuid] = None
        self._failures_changed = True
        self.signal()

    def on_event(self, event: LifecycleEvent) -> None:
        """Have it checked soon if an event of LXD's may have changed it."""
        action = event.metadata.action
        if action in _CHANGES_SNAPSHOTS:
            name = event.metadata.source.partition("?")[0].split("/snapshots/")[0]
            self._stale[event.project, name.rpartition("/")[2]] = None
        if action.startswith("instance-"):
            self.signal()

    def on_listening(self) -> None:
        """List again all snapshots: nobody has listened to LXD for a while."""
        if self._stock is not None:
            known = self.instances.known() or ()
            owners = {(one.project, one.uuid): (one.project, one.name) for one in known}
            self._stale |= {owners[key]: None for key in self._stock if key in owners}
        self.signal()

    def publish(self) -> None:
        """Send it if it has changed, was requested, or was sent a minute ago.

        Raises DatabaseUnavailable. What cannot be sent now is sent with the reconnection.
        """
        self._list_stale()
        report = self._report()
        if report is None:
            return
        is_new = self._last is None or replace(report, at=self._last.at) != self._last
        now = self.context.clock.monotonic()
        if not (is_new or self._requested or now >= self._sent_at + REGULAR_S):
            return
        try:
            self.context.publish(report)
        except BrokerUnavailable as exc:
            self._failure_log.failed(exc)
            return
        self._failure_log.succeeded()
        self._requested, self._last, self._sent_at = False, report, now

    def _list_stale(self) -> None:
        for place in list(self._stale)[:LISTED_AT_ONCE]:
            known = self.instances.known() or ()
            found = next((one for one in known if (one.project, one.name) == place), None)
            if found and found.uuid:
                try:
                    # Of two with one uuid the one would be missing what the other one has.
                    if not self.instances.is_ambiguous(found.uuid):
                        recorded = self.store.snapshots_of(found.project, found.uuid)
                        listed = self.lxd.snapshots(*place)
                        now = self.context.clock.unix()
                        self.store.reconcile(found, recorded, listed, now)
                except LxdUnavailable:
                    return
                self._restocked[found.project, found.uuid] = None
            self._stale.pop(place, None)
        if self._stale:
            self.signal()

    def _refresh(self, now: str) -> dict[tuple[str, str], Stock]:
        if self._stock is None:
            self._stock = self.store.stock(now)
        for key in list(self._restocked):
            del self._restocked[key]
            self._stock[key] = self.store.stock_of(*key, now)
        if self._failures_changed:
            self._failures_changed = False
            self._failures = self.store.failures()
        return self._stock

    def _report(self) -> ProtectionReported | None:
        """Return the report; None: nobody knows which instances there are."""
        known = self.instances.known()
        if known is None:
            return None
        stock, oldest = self._refresh(self.context.clock.now()), self.oldest_slots()
        times = {one.id: self._times(one) for one in self.plan.policies}
        selected = self.instances.with_policies(list(known)[:MOST_INSTANCES])
        self._note_selected(selected)
        plan = self.plan.plan
        return ProtectionReported(
            epoch=self.context.epoch,
            at=self.context.clock.now(),
            plan_version=plan.plan_version if plan else 0,
            digest=plan.digest if plan else "",
            clock_trusted=self.clock_guard.trusted,
            instances=[
                self._protection(one, policies, stock, oldest, times) for one, policies in selected
            ],
        )

    def _times(self, policy: Policy) -> SlotTimes:
        unix = self.plan.now() - LATE_S - self.plan.delay_s(policy)
        following, last = self.plan.next_slot(policy), self.plan.last_slot(policy)
        return SlotTimes(
            following=slot_text(following) if following else "",
            overdue=_text(unix),
            over=slot_text(last) if last and last.timestamp() <= unix else "",
        )

    def _note_selected(self, selected: Iterable[tuple[Instance, tuple[Policy, ...]]]) -> None:
        """Note since when policies select instances; the worker's start found them so for ever."""
        before, since = self._selected_since, self._first_text()
        self._selected_since = {
            key: (before or {}).get(key, since)
            for one, policies in selected
            for policy in policies
            for key in [(policy.id, one.project, one.uuid)]
        }

    def _first_text(self) -> str:
        return "" if self._selected_since is None else _text(self.plan.now())

    def _missed_first(
        self, instance: Instance, policies: Iterable[Policy], times: Mapping[str, SlotTimes]
    ) -> bool:
        """Whether a slot is over that should have brought an instance its first snapshot."""
        selected = self._selected_since or {}
        return any(
            over > max(selected[policy.id, instance.project, instance.uuid], _made(instance))
            for policy in policies
            if (over := times[policy.id].over)
        )

    def _protection(
        self,
        instance: Instance,
        policies: tuple[Policy, ...],
        stock: Mapping[tuple[str, str], Stock],
        oldest: Mapping[tuple[str, str], str],
        times: Mapping[str, SlotTimes],
    ) -> Protection:
        own = stock.get((instance.project, instance.uuid), _NO_STOCK)
        keys = [(policy.id, instance.uuid) for policy in policies]
        pending = [
            (slot, times[policy_id].overdue)
            for policy_id, uuid in keys
            for slot in (times[policy_id].following, oldest.get((policy_id, uuid), ""))
            if slot
        ]
        is_late = any(slot < overdue for slot, overdue in pending) or (
            not own.snapshots and self._missed_first(instance, policies, times)
        )
        failures = [self._failures[key] for key in keys if key in self._failures]
        faults = [fault for policy in policies if (fault := self.plan.fault(policy.id))]
        failures += [Failures(count=1, code=fault.code) for fault in faults]
        worst = max(failures, key=lambda one: one.count, default=_NO_FAILURES)
        return Protection(
            name=instance.name,
            uuid=instance.uuid,
            state=_state(policies, worst, is_late=is_late),
            project=instance.project,
            policies=tuple(policy.name for policy in policies[:MOST_POLICIES_OF_ONE]),
            newest_good=_seconds(own.newest),
            snapshots=own.snapshots,
            due=min((slot for slot, _ in pending), default=""),
            failures=worst.count,
            code=worst.code,
        )


_NO_STOCK, _NO_FAILURES = Stock(), Failures()


def _state(policies: Iterable[Policy], worst: Failures, *, is_late: bool) -> ProtectionState:
    if not policies:
        return ProtectionState.UNPROTECTED
    if worst.count:
        return ProtectionState.FAILING
    return ProtectionState.LATE if is_late else ProtectionState.PROTECTED


def _text(unix: float) -> str:
    return slot_text(datetime.fromtimestamp(unix, UTC))


def _made(instance: Instance) -> str:
    """Return when an instance was made; empty if LXD's text is no time."""
    try:
        return _seconds(instance.created_at)
    except InvalidInput:
        return ""


def _seconds(moment: str) -> str:
    return slot_text(parse_moment(moment)) if moment else ""
