"""Years of a host with a policy: whatever happens, two promises hold.

No slot is taken twice; and nothing is deleted but what the policy itself took and does not keep, at
that moment, by a clock that is right, while nobody works with the instance.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.policies.snapshots import held
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdRefused, TemporaryError
from shared.contracts.operations import Arguments, Kind
from shared.contracts.policies import (
    Policy,
    Retention,
    RunState,
    Schedule,
    Selection,
    SimulationRequest,
    SnapshotMark,
)
from shared.policies.retention import judge
from tests.support.builders import a_submission
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench

SCHEDULES = ("0 * * * *", "30 2 * * *", "15 4 * * 0", "0 0 1 * *")
RETENTIONS = st.builds(
    Retention,
    keep_last=st.integers(0, 3),
    keep_daily=st.integers(0, 3),
    keep_monthly=st.integers(1, 3),
)
NAMES = ("web", "db")
HOUR_S, DAY_S = 3600, 86400


class YearsOfPolicy(RuleBasedStateMachine):
    """One host, two instances, one policy."""

    @initialize(retention=RETENTIONS, cron=st.sampled_from(SCHEDULES))
    def begin(self, retention: Retention, cron: str) -> None:
        self.opened = ExitStack()
        folder = self.opened.enter_context(tempfile.TemporaryDirectory())
        self.host: PolicyBench = self.opened.enter_context(policy_bench(Path(folder)))
        self.uuids = Counter[str]()
        self.jumped_h = 0
        self.foreign: set[tuple[str, str]] = set()
        self.wrong: list[str] = []
        self.policy: Policy | None = a_policy(
            retention=retention, schedule=Schedule(cron=cron, timezone="Europe/Berlin")
        )
        self.host.give(self.policy)
        self.watch()

    def watch(self) -> None:
        """Judge every snapshot that is about to be deleted."""
        request = self.host.lxd.request

        def judged(step: Step, entry: JournalEntry) -> str:
            if step is Step.DELETE_SNAPSHOT and entry.operation.principal == "policy:hourly":
                try:
                    self.check_deletion(entry)
                except AssertionError as exc:
                    # The worker would take it for an error of its own.
                    self.wrong.append(f"{entry.operation.arguments.snapshot}: {exc}")
            return str(request(step, entry))

        self.host.lxd.request = judged

    def check_deletion(self, entry: JournalEntry) -> None:
        operation, host = entry.operation, self.host
        name, snapshot = operation.instance, operation.arguments.snapshot
        present = host.lxd.holds[name]
        assert (present.uuid, snapshot) not in self.foreign
        assert self.policy is not None
        assert name in self.policy.selection.names or "*" in self.policy.selection.names
        assert self.jumped_h == 0
        assert name not in host.lxd.used
        listed = [host.lxd._snapshot(name, one) for one in present.snapshots]
        records = host.store.snapshots_of("default", present.uuid)
        now = datetime.fromtimestamp(host.clock.unix(), UTC)
        zone = self.policy.schedule.timezone
        owned = held(listed, records, self.policy.id, present.created_at)
        kept = {one.held.name: one.kept for one in judge(owned, self.policy.retention, zone, now)}
        assert kept[snapshot] is False
        assert any(kept.values())

    def go_on(self) -> None:
        try:
            self.host.work()
        except TemporaryError:
            return

    @rule(seconds=st.sampled_from((60, HOUR_S, DAY_S, 7 * DAY_S, 40 * DAY_S)))
    def time_passes(self, seconds: int) -> None:
        self.host.clock.advance(seconds)
        self.go_on()

    @rule(steps=st.integers(0, 6), seconds=st.sampled_from((HOUR_S, DAY_S)))
    def the_worker_is_killed(self, steps: int, seconds: int) -> None:
        self.host.clock.advance(seconds)
        for _ in range(steps):
            self.host.policies.scheduler.work()
            self.host.step()
        self.host.kill()
        self.go_on()

    @rule(days=st.integers(1, 3))
    def lxd_is_away(self, days: int) -> None:
        self.host.lxd.away = 3
        self.host.clock.advance(days * DAY_S)
        self.go_on()
        self.host.lxd.away = 0
        self.host.clock.advance(60)
        self.go_on()

    @rule(hours=st.integers(-300, 300).filter(bool))
    def the_clock_jumps(self, hours: int) -> None:
        self.host.clock._unix_at_0 += hours * HOUR_S
        self.jumped_h += hours
        self.go_on()

    @precondition(lambda self: self.policy is not None)
    @rule()
    def the_centre_confirms_the_clock(self) -> None:
        plan = self.host.policies.plan.plan
        self.host.policies.set_plan(replace(plan, clock=f"{self.host.clock.unix()}"))
        self.jumped_h = 0
        self.go_on()

    @rule(retention=RETENTIONS, names=st.sampled_from((("*",), ("web",), ("db",))))
    def the_policy_changes(self, retention: Retention, names: tuple[str, ...]) -> None:
        present = self.policy or a_policy()
        selection = Selection(names=names)
        self.policy = replace(present, retention=retention, selection=selection)
        self.host.give(self.policy)
        self.jumped_h = 0
        self.go_on()

    @rule()
    def the_policy_is_deleted(self) -> None:
        self.policy = None
        self.host.give()
        self.jumped_h = 0
        self.go_on()

    @rule(name=st.sampled_from(NAMES), like_ours=st.booleans())
    def somebody_takes_a_snapshot(self, name: str, like_ours: bool) -> None:
        found, lxd = self.host.lxd.holds[name], self.host.lxd
        prefix = "hourly-20200101T" if like_ours else "mine-"
        snapshot = f"{prefix}{len(self.foreign):06}Z"
        lxd.holds[name] = replace(found, snapshots=(*found.snapshots, snapshot))
        lxd.created_at[name, snapshot] = "2020-01-01T00:00:00Z"
        self.foreign.add((found.uuid, snapshot))

    @rule(name=st.sampled_from(NAMES))
    def an_instance_is_made_anew(self, name: str) -> None:
        self.uuids[name] += 1
        anew = observation(uuid=f"u-{name}-{self.uuids[name]}")
        self.host.lxd.holds[name] = replace(anew, name=name)
        self.go_on()

    @rule(name=st.sampled_from(NAMES))
    def somebody_works_with_an_instance(self, name: str) -> None:
        self.host.lxd.used ^= {name}
        self.host.clock.advance(60)
        self.go_on()

    @rule(name=st.sampled_from(NAMES), protect=st.booleans())
    def somebody_marks_the_oldest(self, name: str, protect: bool) -> None:
        found = self.host.lxd.holds[name]
        if found.snapshots:
            mark = SnapshotMark(
                project="default",
                name=name,
                uuid=found.uuid,
                snapshot=found.snapshots[0],
                protected=protect,
            )
            self.host.policies.mark_snapshot(mark)

    @rule()
    def lxd_refuses_for_a_day(self) -> None:
        self.host.lxd.refuses[Step.SNAPSHOT] = LxdRefused("no space left on device")
        self.host.clock.advance(DAY_S)
        self.go_on()
        self.host.lxd.refuses.clear()

    @rule(name=st.sampled_from(NAMES))
    def somebody_stops_an_instance_at_the_slot(self, name: str) -> None:
        self.host.to_full_hour()
        found = self.host.lxd.holds[name]
        stop = a_submission(
            Kind.STOP,
            name,
            Arguments(force=True),
            uuid=found.uuid,
            start_within_s=60.0,
            operation_id=f"stop-{self.host.clock.unix()}",
        )
        try:
            self.host.bench.operations.submit(stop)
        except TemporaryError:
            return
        self.go_on()

    @precondition(lambda self: self.policy is not None)
    @rule(days=st.integers(1, 2))
    def a_simulation_is_what_then_happens(self, days: int) -> None:
        host, policy = self.host, self.policy
        assert policy is not None
        self.the_centre_confirms_the_clock()
        host.lxd.used.clear()
        host.clock.advance(60)
        self.go_on()
        answer = host.policies.simulate_policy(SimulationRequest(policy=policy, days=days))
        ends_at = host.clock.unix() + days * DAY_S
        while host.clock.unix() + HOUR_S / 4 <= ends_at:
            host.clock.advance(HOUR_S / 4)
            host.work()
        for one in answer.instances:
            known = set(self.host.lxd.holds[one.name].snapshots)
            told = {snapshot.snapshot for snapshot in one.snapshots if snapshot.kept}
            assert told == known

    @invariant()
    def nothing_is_deleted_that_is_kept(self) -> None:
        assert getattr(self, "wrong", []) == []
        if hasattr(self, "host"):
            assert set(self.host.lxd.holds) == set(NAMES)

    @invariant()
    def nothing_is_taken_twice(self) -> None:
        if not hasattr(self, "host"):
            return
        runs = self.host.runs()
        slots = Counter((run.uuid, run.slot) for run in runs if run.state is RunState.TAKEN)
        names = Counter((run.uuid, run.snapshot) for run in runs if run.state is RunState.TAKEN)
        assert max(slots.values(), default=1) == 1
        assert max(names.values(), default=1) == 1

    @invariant()
    def nobody_elses_snapshot_is_gone(self) -> None:
        if not hasattr(self, "host"):
            return
        present = {
            (found.uuid, snapshot)
            for found in self.host.lxd.holds.values()
            for snapshot in found.snapshots
        }
        uuids = {found.uuid for found in self.host.lxd.holds.values()}
        assert {one for one in self.foreign if one[0] in uuids} <= present

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()


YearsOfPolicy.TestCase.settings = settings(
    max_examples=6,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
TestYearsOfPolicy: Any = YearsOfPolicy.TestCase
