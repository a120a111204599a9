"""Whatever happens to policies, hosts, broker and service, every host ends with its plan."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from services.snapshots.plans.delivery import RESEND_S, Carried
from services.snapshots.plans.planner import MOST_SETTLE_S
from shared.contracts.errors import BrokerUnavailable, DatabaseUnavailable
from shared.contracts.policies import Plan, Selection
from tests.support.planner import PlannerBench
from tests.support.snapshots import a_policy

HOSTS = ("h1", "h2", "h3")
# A host that is away is tried at least so often; one whose clock is wrong, more rarely.
LONGEST_WAIT_S = 400.0


class Planning(RuleBasedStateMachine):
    """Hosts that take a plan as a worker does: only one that is newer than theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = PlannerBench(*HOSTS)
        self.carried: dict[str, Plan] = {}
        self.trusting = set(HOSTS)
        self.taken = 0
        self.sent_at: defaultdict[tuple[str, int], list[float]] = defaultdict(list)

    @initialize()
    def begin_with_a_fleet_that_has_plans(self) -> None:
        self.change_policies(2, ())
        self.wait(5)

    @rule(number=st.integers(0, 3), only=st.sampled_from([(), *((host,) for host in HOSTS)]))
    def change_policies(self, number: int, only: tuple[str, ...]) -> None:
        selection = Selection(hosts=only, names=("*",))
        self.bench.store.change(*(a_policy(f"p{n}", selection=selection) for n in range(number)))

    @rule(host=st.sampled_from(HOSTS))
    def leave(self, host: str) -> None:
        self.bench.absent.add(host)

    @rule(host=st.sampled_from(HOSTS))
    def come_back(self, host: str) -> None:
        self.bench.absent.discard(host)
        self._report(host, is_back=True)

    @rule(host=st.sampled_from(HOSTS))
    def lose_the_journal(self, host: str) -> None:
        self.carried.pop(host, None)
        self._report(host, is_back=True)

    @rule(host=st.sampled_from(HOSTS))
    def jump_the_clock(self, host: str) -> None:
        """Have a host distrust its clock, until it gets its plan again."""
        self.trusting.discard(host)
        self._report(host, is_back=False)

    @rule(host=st.sampled_from(HOSTS), later=st.sampled_from([0, 1, 10**12]))
    def carry_a_plan_of_nobody_knows_where_from(self, host: str, later: int) -> None:
        if plan := self.carried.get(host):
            version = plan.plan_version + later
            self.carried[host] = replace(plan, plan_version=version, digest="e" * 64, policies=())
            self._report(host, is_back=True)

    @rule(away=st.booleans(), fails=st.booleans())
    def break_or_mend(self, away: bool, fails: bool) -> None:
        self.bench.broker_away, self.bench.store.fails = away, fails

    @rule()
    def kill_the_service(self) -> None:
        """Start another one: it knows what was stored, and nothing of what was sent."""
        before = self.bench
        self.bench = PlannerBench(*HOSTS, store=before.store)
        self.bench.now = before.now
        self.bench.absent, self.bench.broker_away = before.absent, before.broker_away
        for host, (version, digest) in before.store.stored.items():
            self.bench.planner.load(host, version, digest, Carried())
        self.taken = 0
        self.sent_at.clear()

    @rule()
    def lose_the_database(self) -> None:
        self.kill_the_service()
        lost = self.bench
        self.bench = PlannerBench(*HOSTS)
        self.bench.now, self.bench.absent = lost.now, lost.absent

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            with suppress(BrokerUnavailable, DatabaseUnavailable):
                self.bench.run(1)
            self._deliver()

    @invariant()
    def a_plan_is_not_sent_again_within_ten_seconds(self) -> None:
        for times in self.sent_at.values():
            assert all(b - a >= RESEND_S for a, b in pairwise(times))

    def teardown(self) -> None:
        """Mend everything: each host gets exactly the policies that may select its instances."""
        self.bench.absent.clear()
        self.break_or_mend(away=False, fails=False)
        for host in HOSTS:
            self._report(host, is_back=True)
        self.wait(int(LONGEST_WAIT_S + MOST_SETTLE_S))
        if not self.bench.store.changes:
            return
        for host in HOSTS:
            wanted = [
                each.name
                for each in self.bench.store.listed
                if not each.selection.hosts or host in each.selection.hosts
            ]
            assert [each.name for each in self.carried[host].policies] == wanted
        assert (self.bench.planner.pending, self.bench.planner.untrusted) == (0, 0)

    def _deliver(self) -> None:
        for plan in self.bench.sent[self.taken :]:
            self.sent_at[plan.host, plan.plan_version].append(self.bench.now)
            self.trusting.add(plan.host)
            present = self.carried.get(plan.host)
            if present is None or plan.plan_version > present.plan_version:
                self.carried[plan.host] = plan
            self._report(plan.host, is_back=False)
        self.taken = len(self.bench.sent)

    def _report(self, host: str, *, is_back: bool) -> None:
        if host in self.bench.absent or self.bench.broker_away:
            return
        plan = self.carried.get(host)
        carried = Carried()
        if plan is not None:
            carried = Carried(plan.plan_version, plan.digest, host in self.trusting)
        self.bench.planner.on_report(host, carried, is_back=is_back)


TestPlanning = Planning.TestCase
TestPlanning.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
