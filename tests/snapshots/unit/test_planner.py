"""From policies to the plans of hosts, among stores in memory and with a clock of the test's."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from services.snapshots.plans.delivery import Carried
from services.snapshots.plans.planner import MOST_SETTLE_S, SETTLE_S
from shared.contracts.bounds import MOST
from shared.contracts.errors import BrokerUnavailable, DatabaseUnavailable
from shared.contracts.policies import Selection
from tests.support.planner import PlannerBench
from tests.support.snapshots import a_policy


def test_each_host_gets_the_policies_that_may_select_its_instances() -> None:
    bench = PlannerBench("h1", "h2")
    only_h2 = Selection(hosts=("h2",), names=("*",))
    bench.store.change(a_policy("all"), a_policy("second", selection=only_h2))

    bench.run(SETTLE_S + 2)

    assert bench.policies_of("h1") == ["all"]
    assert bench.policies_of("h2") == ["all", "second"]
    assert [plan.at_once for plan in bench.sent] == [4, 4]


def test_versions_are_above_the_time_in_ms_and_grow_over_the_fleet() -> None:
    bench = PlannerBench("h1", "h2")
    before = int(time.time() * 1000)
    for number in range(3):
        bench.store.change(a_policy(revision=number + 1))
        bench.run(SETTLE_S + 2)

    versions = [plan.plan_version for plan in bench.sent]
    assert min(versions) >= before
    assert versions == sorted(set(versions))


def test_a_change_that_leaves_a_host_as_it_was_gives_it_no_new_plan() -> None:
    bench = PlannerBench("h1", "h2")
    bench.store.change(a_policy("all"))
    bench.run(SETTLE_S + 2)
    bench.carry()
    bench.sent.clear()

    only_h2 = Selection(hosts=("h2",), names=("*",))
    bench.store.change(a_policy("all"), a_policy("second", selection=only_h2))
    bench.run(3)

    assert {plan.host for plan in bench.sent} == {"h2"}


def test_a_database_that_never_had_a_policy_takes_no_hosts_plan_away() -> None:
    bench = PlannerBench("h1")
    bench.planner.on_report("h1", Carried(7, "d" * 64, clock_trusted=True), is_back=True)

    bench.run(60)

    assert bench.sent == []
    assert bench.store.issued == []


def test_the_last_policy_that_is_deleted_leaves_hosts_an_empty_plan() -> None:
    bench = PlannerBench("h1")
    bench.store.change(a_policy())
    bench.run(SETTLE_S + 2)
    bench.carry()

    bench.store.change()
    bench.run(3)

    assert bench.policies_of("h1") == []


def test_hosts_that_are_found_one_after_another_are_waited_for_but_not_for_ever() -> None:
    bench = PlannerBench()
    bench.store.change(a_policy())

    for number in range(30):
        bench.hosts.append(f"h{number:02}")
        bench.run(1)

    assert 1 <= len(bench.store.issued) <= 30 / MOST_SETTLE_S + 1


def test_a_host_with_a_later_plan_gets_this_one_under_a_version_above_it() -> None:
    bench = PlannerBench("h1", "h2")
    bench.store.change(a_policy())
    bench.run(SETTLE_S + 2)
    bench.carry()
    later = bench.store.last + 1_000_000

    bench.planner.on_report("h1", Carried(later, "e" * 64, clock_trusted=True), is_back=True)
    bench.run(3)

    assert bench.sent[-1].host == "h1"
    assert bench.sent[-1].plan_version == later + 1
    bench.store.change(a_policy(revision=2))
    bench.run(3)
    assert bench.store.last < later  # of one host's number nothing is seen by the others


@pytest.mark.attack
def test_a_host_that_reports_the_largest_number_harms_only_itself() -> None:
    bench = PlannerBench("h1", "h2")
    bench.store.change(a_policy())
    bench.run(SETTLE_S + 2)

    bench.planner.on_report("h1", Carried(MOST, "e" * 64, clock_trusted=True), is_back=True)
    bench.run(60)
    bench.store.change(a_policy(revision=2))
    bench.run(3)

    assert max(plan.plan_version for plan in bench.sent if plan.host == "h1") == MOST
    assert bench.sent[-1].policies[0].revision == 2
    assert [plan for plan in bench.sent if plan.host == "h2"][-1].plan_version == bench.store.last


def test_a_plan_is_sent_with_the_present_time_whenever_it_is_sent() -> None:
    bench = PlannerBench("h1")
    bench.store.change(a_policy())
    bench.run(SETTLE_S + 2)
    bench.carry(trusted=False)
    bench.run(60)

    assert len(bench.sent) > 1
    assert all(abs(float(plan.clock) - time.time()) < 60 for plan in bench.sent)
    assert len({(plan.plan_version, plan.digest) for plan in bench.sent}) == 1


def test_plans_wait_for_a_broker_that_is_away_and_for_hosts() -> None:
    bench = PlannerBench("h1", "h2")
    bench.store.change(a_policy())
    bench.absent.add("h2")
    bench.broker_away = True
    with pytest.raises(BrokerUnavailable):
        bench.run(SETTLE_S + 2)
    assert bench.planner.pending == 2

    bench.broker_away = False
    bench.run(1)
    assert {plan.host for plan in bench.sent} == {"h1"}
    bench.carry()
    assert bench.planner.pending == 1

    bench.absent.clear()
    bench.run(60)
    bench.carry()
    assert (bench.planner.pending, bench.planner.untrusted) == (0, 0)


def test_versions_that_could_not_be_stored_are_issued_later() -> None:
    bench = PlannerBench("h1")
    bench.store.change(a_policy())
    bench.store.fails = True
    with pytest.raises(DatabaseUnavailable):
        bench.run(SETTLE_S + 2)
    assert bench.sent == []

    bench.store.fails = False
    bench.run(2)

    assert bench.policies_of("h1") == ["nightly"]


def test_what_was_stored_before_a_start_is_sent_under_its_version() -> None:
    first = PlannerBench("h1")
    first.store.change(a_policy())
    first.run(SETTLE_S + 2)
    plan = first.sent[-1]

    second = PlannerBench("h1")
    second.store.change(replace(a_policy()))
    second.planner.load("h1", plan.plan_version, plan.digest, Carried())
    second.run(SETTLE_S + 2)

    assert [(each.plan_version, each.digest) for each in second.sent] == [
        (plan.plan_version, plan.digest)
    ]
    assert second.store.issued == []
