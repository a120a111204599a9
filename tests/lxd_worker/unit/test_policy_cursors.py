"""No slot is lost and none comes twice: by changes of its policy, or of the clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.policies.outbox import policy_run_outbox
from shared.contracts.policies import Policy, Schedule, Selection
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench

A_DAY_S = 86400
NOON = "hourly-20261118T120000Z"
POLICY = a_policy(selection=Selection(names=("web",)))
MONTHLY = replace(POLICY, name="monthly", schedule=Schedule(cron="0 0 1 * *"))
DECEMBER = "monthly-20261201T000000Z"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as bench:
        yield bench


def with_jitter(policy: Policy, seconds: float) -> Policy:
    return replace(policy, schedule=replace(policy.schedule, jitter_s=seconds))


LATE = with_jitter(POLICY, 3000.0)


def just_after_noon(host: PolicyBench) -> None:
    """Let a slot have come whose runs this host begins later."""
    host.give(LATE)
    host.to_full_hour()
    host.clock.advance(5)
    host.work()
    assert host.policies.plan.delay_s(LATE) > 60


def jump(host: PolicyBench, seconds: float) -> None:
    """Have the wall clock set."""
    host.clock._unix_at_0 += seconds
    host.work()


def forget_history(host: PolicyBench) -> None:
    """Have the runs and operations of the past tidied."""
    policy_run_outbox(host.store, host.wire.publish, list, lambda *_: None).publish_unconfirmed()

    def age(connection: Any) -> None:
        connection.exec_driver_sql("UPDATE policy_runs SET changed_at = 0")
        connection.exec_driver_sql("UPDATE operations SET changed_at = 0, confirmed = 1")

    host.database.transaction(age)
    host.bench.journal.prune(host.clock.unix() - 7 * A_DAY_S)
    host.policies.tidy(7 * A_DAY_S)
    assert host.runs() == []


@pytest.mark.parametrize("jitter_s", [0.0, 60.0, 3500.0])
def test_a_slot_that_is_due_survives_a_change_of_the_jitter(
    host: PolicyBench, jitter_s: float
) -> None:
    just_after_noon(host)
    host.give(with_jitter(POLICY, jitter_s))
    host.clock.advance(3500)
    host.work()

    assert host.snapshots() == [NOON]


@pytest.mark.parametrize("killed", [False, True])
def test_a_slot_that_is_due_survives_that_its_policy_is_disabled_and_enabled(
    host: PolicyBench, *, killed: bool
) -> None:
    just_after_noon(host)
    host.give()
    if killed:
        host.kill()
    host.give(LATE)
    host.clock.advance(3000)
    host.work()

    assert host.snapshots() == [NOON]


@pytest.mark.parametrize("away_s", [3 * 3600, 3 * A_DAY_S])
def test_a_policy_that_was_disabled_for_longer_begins_anew(
    host: PolicyBench, away_s: float
) -> None:
    just_after_noon(host)
    host.give()
    host.clock.advance(away_s)
    host.give(LATE)
    host.work()

    assert host.snapshots() == []


def test_another_time_begins_anew(host: PolicyBench) -> None:
    just_after_noon(host)
    host.give(replace(POLICY, schedule=Schedule(cron="0 12 * * *")))
    host.clock.advance(3000)
    host.work()

    assert host.snapshots() == []


def test_policies_that_left_are_forgotten_after_a_day(host: PolicyBench) -> None:
    host.give(POLICY)
    host.give()
    soon = host.store.cursors()
    host.clock.advance(2 * A_DAY_S)
    host.give()

    assert list(soon) == [POLICY.id]
    assert host.store.cursors() == {}


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_clock_that_was_wrong_for_a_while_runs_no_old_slot_again(
    host: PolicyBench, *, killed: bool, deleted: bool
) -> None:
    host.give(MONTHLY)
    host.clock.advance(24 * A_DAY_S)
    host.work()
    taken = host.snapshots()
    forget_history(host)
    if deleted:
        host.lxd.holds["web"] = replace(host.lxd.holds["web"], snapshots=())
    jump(host, -300 * A_DAY_S)
    if killed:
        host.kill()
    jump(host, 300 * A_DAY_S)

    assert taken == [DECEMBER]
    assert host.runs() == []


@pytest.mark.parametrize("killed", [False, True])
def test_while_the_clock_is_behind_its_slots_are_taken_and_afterwards_the_next_one(
    host: PolicyBench, *, killed: bool
) -> None:
    host.give(MONTHLY)
    host.clock.advance(24 * A_DAY_S)
    host.work()
    jump(host, -300 * A_DAY_S)
    host.clock.advance(28 * A_DAY_S)
    if killed:
        host.kill()
    host.work()
    behind = host.store.cursors()[MONTHLY.id]
    jump(host, 300 * A_DAY_S)
    host.clock.advance(30 * A_DAY_S)
    host.work()

    assert behind.behind is not None
    assert behind.behind < behind.slot
    assert [run.slot[:7] for run in host.runs()] == [
        "2026-12",
        "2026-03",
        "2027-01",
        "2027-02",
    ]
    assert host.store.cursors()[MONTHLY.id].behind is None


def test_a_clock_of_a_year_that_has_no_date_stops_nothing(host: PolicyBench) -> None:
    host.give(POLICY)
    host.clock._unix_at_0 += 9e11

    pauses = [host.policies.scheduler.work() for _ in range(3)]
    host.due.clear()

    assert min(pauses[1:]) > 1.0
