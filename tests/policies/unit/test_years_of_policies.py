"""Years of two policies on one instance, with all that comes between, by the rules of workers.

Whatever happens: nothing is taken twice for a slot; nothing is pruned that the policy keeps, by the
references, nor the newest good one, nor one that is foreign, protected, in the future or left to
LXD, nor by a clock that may be wrong. And what a simulation tells is what then happens.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from shared.contracts.policies import (
    Policy,
    Retention,
    RetentionRule,
    Schedule,
    Selection,
    SimulatedAction,
)
from shared.policies import reasons
from shared.policies.moments import slot_text
from shared.policies.naming import snapshot_name
from shared.policies.retention import Held
from shared.policies.schedule import next_slot
from shared.policies.simulation import simulate
from shared.policies.validation import check_policy, keeps_something
from tests.support.policy_host import HOST, INSTANCE, Mark, PolicyHost, Pruned, Snapshot
from tests.support.retention_references import REFERENCES

CRONS = ("0 2 * * *", "0 */6 * * *", "30 2 * * SUN", "0 3 1 * *", "15 1,2,13 * * *", "0 0 29 2 *")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
MOST_TRUSTED = timedelta(minutes=5)

counts = st.integers(0, 5)
schedules = st.builds(
    Schedule,
    cron=st.sampled_from(CRONS),
    timezone=st.sampled_from(ZONES),
    jitter_s=st.sampled_from((0.0, 600.0)),
)
retentions = st.builds(
    Retention,
    keep_last=st.integers(1, 4) | st.just(0),
    keep_hourly=counts,
    keep_daily=counts,
    keep_weekly=counts,
    keep_monthly=counts,
    keep_yearly=counts,
    keep_tags=st.just(()) | st.just(("release",)),
    rule=st.sampled_from(RetentionRule),
).map(lambda each: each if keeps_something(each) else replace(each, keep_last=1))
names = st.sampled_from(("first", "second"))
jumps = st.timedeltas(timedelta(minutes=-400 * 1440), timedelta(minutes=400 * 1440))


class YearsOfPolicies(RuleBasedStateMachine):
    """Lives through years on one host."""

    host: PolicyHost

    @initialize(
        delay_s=st.sampled_from((0.0, 120.0)),
        day=st.integers(0, 364),
        schedule=schedules,
        retention=retentions,
    )
    def begin(self, delay_s: float, day: int, schedule: Schedule, retention: Retention) -> None:
        start = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        self.host = PolicyHost(start, plan_delay_s=delay_s)
        self.by_hand: set[tuple[str, datetime]] = set()
        self.make_or_replace_a_policy("first", schedule, retention)

    @rule(name=names, schedule=schedules, retention=retentions)
    def make_or_replace_a_policy(self, name: str, schedule: Schedule, retention: Retention) -> None:
        policy = Policy(
            id=name,
            name=name,
            schedule=schedule,
            selection=Selection(names=("*",)),
            retention=retention,
        )
        check_policy(policy)
        self.host.set_policy(policy)

    @rule(name=names, retention=retentions)
    def change_what_is_kept(self, name: str, retention: Retention) -> None:
        if name in self.host.policies:
            self.host.set_policy(replace(self.host.policies[name], retention=retention))

    @precondition(lambda self: len(self.host.policies) > 1)
    @rule(name=names)
    def delete_a_policy(self, name: str) -> None:
        policy = self.host.policies[name]
        its = {
            each.name
            for each in self.host.snapshots.values()
            if self._is_own(each, policy) and each.expires_at is None
        }
        self.host.remove_policy(name)
        self.host.live(timedelta(days=30))
        assert its <= set(self.host.snapshots)

    @rule(days=st.integers(1, 400))
    def live(self, days: int) -> None:
        self.host.live(timedelta(days=days))

    @rule(hours=st.integers(1, 2000))
    def be_switched_off(self, hours: int) -> None:
        taken = len(self.host.taken)
        self.host.sleep(timedelta(hours=hours))
        self.host.work()
        # The newest slot only.
        assert len(self.host.taken) - taken <= len(self.host.policies)

    @rule()
    def be_killed_after_taking(self) -> None:
        due = min(self.host.due_at(each) for each in self.host.policies.values())
        until_due = max(due - self.host.time, timedelta())
        self.host.sleep(min(until_due, timedelta(days=60)))
        self.host.work(dies_after_taking=True)
        self.host.work()

    @rule(jump=jumps)
    def have_the_clock_jump(self, jump: timedelta) -> None:
        self.host.off_by += jump
        if abs(jump) > MOST_TRUSTED:
            self.host.clock_trusted = False
        self.host.work()

    @rule()
    def agree_with_the_centre_again(self) -> None:
        self.host.off_by = timedelta()
        self.host.clock_trusted = True
        self.host.work()

    @rule(name=names)
    def take_a_snapshot_by_hand_that_is_called_like_the_next_one(self, name: str) -> None:
        policy = self.host.policies.get(name) or next(iter(self.host.policies.values()))
        slot = next_slot(policy.schedule, self.host.begun[policy.id])
        self._take_by_hand(snapshot_name(policy, INSTANCE, slot))

    @rule(number=st.integers(0, 3))
    def take_a_snapshot_by_hand(self, number: int) -> None:
        self._take_by_hand(f"by-hand-{number}")

    @precondition(lambda self: self.host.snapshots)
    @rule(data=st.data())
    def replace_a_snapshot_under_its_name(self, data: st.DataObject) -> None:
        chosen = self._chosen(data)
        del self.host.snapshots[chosen.name]
        self.host.time += timedelta(seconds=1)
        self._take_by_hand(chosen.name)

    @precondition(lambda self: self.host.snapshots)
    @rule(data=st.data())
    def delete_a_snapshot_by_hand(self, data: st.DataObject) -> None:
        del self.host.snapshots[self._chosen(data).name]

    @precondition(lambda self: self.host.snapshots)
    @rule(data=st.data(), protected=st.booleans(), tags=st.sampled_from(((), ("release",), ("x",))))
    def mark_a_snapshot(self, data: st.DataObject, protected: bool, tags: tuple[str, ...]) -> None:
        chosen = self._chosen(data)
        self.host.marks[chosen.name, chosen.created_at] = Mark(protected, tags)

    @precondition(lambda self: self.host.snapshots)
    @rule(data=st.data(), days=st.integers(1, 300))
    def let_a_snapshot_expire_in_lxd(self, data: st.DataObject, days: int) -> None:
        self._chosen(data).expires_at = self.host.now + timedelta(days=days)

    @rule(name=names, days=st.integers(0, 200), hours_off=st.integers(0, 100) | st.just(0))
    def simulate_and_see(self, name: str, days: int, hours_off: int) -> None:
        host = self.host
        host.sleep(timedelta(hours=hours_off))
        policy = host.policies.get(name)
        if policy is None or not self._can_be_told(policy):
            return
        start, offset = host.now, host.off_by
        told = simulate(
            policy,
            HOST,
            INSTANCE,
            host.held(name),
            start,
            days,
            host.plan_delay_s,
            begun=host.begun[name],
            most=10**6,
        )
        taken, deleted = len(host.taken), len(host.deleted)

        host.live(timedelta(days=days))

        assert host.off_by == offset
        happened = [
            (slot_text(each.at), SimulatedAction.TAKE, each.snapshot)
            for each in host.taken[taken:]
            if each.policy.id == name
        ]
        happened += [
            (slot_text(each.at), SimulatedAction.PRUNE, each.snapshot.name)
            for each in host.deleted[deleted:]
            if each.policy.id == name
        ]
        assert sorted(happened) == sorted((e.at, e.action, e.snapshot) for e in told.events)
        owned = {each.snapshot: each.kept for each in told.judged if each.owned}
        present = {
            each.held.name: each.kept
            for each in host.judged(policy)
            if not {reasons.FOREIGN, reasons.EXPIRES} & set(each.held.guards)
        }
        assert present.items() <= owned.items()

    @invariant()
    def nothing_is_taken_twice_for_a_slot(self) -> None:
        slots = [(each.policy.id, each.slot) for each in self.host.taken]
        assert len(set(slots)) == len(slots)

    @invariant()
    def nothing_was_pruned_that_had_to_stay(self) -> None:
        while self.host.deleted:
            self._check_pruned(self.host.deleted.pop())

    @invariant()
    def nothing_was_left_that_no_rule_keeps(self) -> None:
        while self.host.left:
            each = self.host.left.pop()
            counted = _counted(each.there, each.at)
            assert {one.name for one in counted} == _kept(counted, each.policy)

    def _check_pruned(self, pruned: Pruned) -> None:
        snapshot = pruned.snapshot
        counted = _counted(pruned.there, pruned.at)
        assert pruned.clock_trusted
        assert (snapshot.name, snapshot.created_at) not in self.by_hand
        assert snapshot.guards == ()
        assert snapshot.created_at <= pruned.at
        assert snapshot != counted[0]
        assert snapshot.name not in _kept(counted, pruned.policy)

    def _take_by_hand(self, name: str) -> None:
        if name in self.host.snapshots:
            return
        self.host.snapshots[name] = Snapshot(name, self.host.now)
        self.by_hand.add((name, self.host.now))

    def _chosen(self, data: st.DataObject) -> Snapshot:
        return self.host.snapshots[data.draw(st.sampled_from(sorted(self.host.snapshots)))]

    def _can_be_told(self, policy: Policy) -> bool:
        """Whether nothing is ahead that a simulation does not know of."""
        begun = self.host.begun[policy.id]
        # Slots that were taken by a clock that was ahead.
        is_ahead = any(
            each.policy.id == policy.id and each.slot > begun for each in self.host.taken
        )
        # A name that is used, and free again once LXD has deleted what has it.
        is_freed = any(
            each.expires_at and each.name.startswith(policy.name) and not self._is_own(each, policy)
            for each in self.host.snapshots.values()
        )
        return self.host.clock_trusted and not is_ahead and not is_freed

    def _is_own(self, snapshot: Snapshot, policy: Policy) -> bool:
        return self.host.owners.get((snapshot.name, snapshot.created_at)) == policy.id


def _counted(there: list[Held], now: datetime) -> list[Held]:
    """Return the snapshots that a policy may count and prune, newest first."""
    found = [each for each in there if not each.guards and each.created_at <= now]
    return sorted(found, key=lambda each: (each.created_at, each.name), reverse=True)


def _kept(counted: list[Held], policy: Policy) -> set[str]:
    """Return the names of those that a policy keeps, by the references."""
    zone = ZoneInfo(policy.schedule.timezone)
    tagged = {each.name for each in counted if {*each.tags} & {*policy.retention.keep_tags}}
    newest = {each.name for each in counted[:1]}
    return newest | tagged | REFERENCES[policy.retention.rule](counted, policy.retention, zone)


# When it fails, the shortest way there is worth some minutes.
TestYearsOfPolicies = pytest.mark.timeout(600)(YearsOfPolicies.TestCase)
TestYearsOfPolicies.settings = settings(
    max_examples=max(15, settings().max_examples // 5), stateful_step_count=40, deadline=None
)
