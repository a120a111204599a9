"""What a policy will do, told beforehand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from shared.contracts.policies import Policy, Retention, Schedule, Selection, SimulatedAction
from shared.policies import reasons
from shared.policies.retention import Held
from shared.policies.simulation import JUDGED_BETWEEN_PAUSES, MOST_JUDGED, simulate

START = datetime(2026, 11, 29, 20, tzinfo=UTC)


def nightly(retention: Retention) -> Policy:
    """Return a policy that is due at 02:00 UTC."""
    return Policy(
        id="p",
        name="nightly",
        schedule=Schedule(cron="0 2 * * *"),
        selection=Selection(names=("*",)),
        retention=retention,
    )


def test_what_would_be_taken_and_pruned_and_why_the_rest_stays() -> None:
    foreign = Held("mine", START - timedelta(days=9), guards=(reasons.FOREIGN,))
    owned = Held("nightly-1", START - timedelta(days=1))

    told = simulate(nightly(Retention(keep_last=2)), "h1", "web", [foreign, owned], START, 2)

    assert [(each.at, each.action, each.snapshot) for each in told.events] == [
        ("2026-11-30T02:00:00Z", SimulatedAction.TAKE, "nightly-20261130T020000Z"),
        ("2026-12-01T02:00:00Z", SimulatedAction.TAKE, "nightly-20261201T020000Z"),
        ("2026-12-01T02:00:00Z", SimulatedAction.PRUNE, "nightly-1"),
    ]
    assert told.events[-1].reasons == (reasons.NO_RULE,)
    assert [
        (each.snapshot, each.taken, each.owned, each.kept, each.reasons) for each in told.judged
    ] == [
        ("nightly-20261201T020000Z", False, True, True, ("last 1", "newest")),
        ("nightly-20261130T020000Z", False, True, True, ("last 2",)),
        ("mine", True, False, True, ("foreign",)),
    ]
    assert not told.truncated


def test_without_days_it_tells_what_the_retention_says_of_what_is_there() -> None:
    held = [Held(f"s{age}", START - timedelta(days=age)) for age in range(3)]

    told = simulate(nightly(Retention(keep_last=1)), "h1", "web", held, START, 0)

    assert told.events == []
    assert [(each.snapshot, each.kept) for each in told.judged] == [
        ("s0", True),
        ("s1", False),
        ("s2", False),
    ]


def test_a_long_list_is_cut_after_a_whole_slot_and_says_so() -> None:
    told = simulate(nightly(Retention(keep_last=1)), "h1", "web", [], START, 30, most=4)

    assert [each.action.value for each in told.events] == ["take", "take", "prune"]
    assert [each.snapshot for each in told.judged] == ["nightly-20261201T020000Z"]
    assert told.truncated


def test_a_simulation_of_a_great_many_snapshots_is_cut_too() -> None:
    many = [Held(f"s{age}", START - timedelta(hours=age)) for age in range(1000)]
    policy = nightly(Retention(keep_hourly=10_000))

    told = simulate(policy, "h1", "web", many, START, 1200)

    assert told.truncated
    slots = len(told.events)
    assert sum(range(1001, 1001 + slots)) <= MOST_JUDGED < sum(range(1001, 1002 + slots))


def test_a_host_begins_late_by_its_jitter_and_its_groups_delay() -> None:
    policy = nightly(Retention(keep_last=9))

    told = simulate(policy, "h1", "web", [], START, 1, plan_delay_s=120)

    assert [each.at for each in told.events] == ["2026-11-30T02:02:00Z"]
    assert [each.snapshot for each in told.events] == ["nightly-20261130T020000Z"]


def test_of_overdue_slots_the_newest_is_caught_up_at_once() -> None:
    policy = nightly(Retention(keep_last=9))

    told = simulate(policy, "h1", "web", [], START, 1, begun=START - timedelta(days=3))

    assert [(each.at, each.snapshot) for each in told.events] == [
        ("2026-11-29T20:00:00Z", "nightly-20261129T020000Z"),
        ("2026-11-30T02:00:00Z", "nightly-20261130T020000Z"),
    ]


def test_a_slot_before_a_policy_began_is_none_of_its() -> None:
    policy = nightly(Retention(keep_last=9))
    start = datetime(2026, 11, 30, 2, 1, tzinfo=UTC)

    told = simulate(policy, "h1", "web", [], start, 2, plan_delay_s=120)

    assert [each.at for each in told.events] == ["2026-12-01T02:02:00Z"]


def test_a_slot_whose_name_somebody_has_used_brings_nothing() -> None:
    taken = Held("nightly-20261130T020000Z", START, guards=(reasons.FOREIGN,))
    old = Held("old", START - timedelta(days=5))

    told = simulate(nightly(Retention(keep_last=1)), "h1", "web", [taken, old], START, 1)

    assert told.events == []
    assert [each.snapshot for each in told.judged] == [taken.name, old.name]


def minutely() -> Policy:
    """Return a policy that is due each minute, and keeps all that it takes."""
    kept = Retention(keep_last=10_000, keep_hourly=10_000, keep_daily=10_000)
    return replace(nightly(kept), schedule=Schedule(cron="* * * * *"))


def test_others_work_between_a_few_slots_of_a_long_simulation() -> None:
    gaps: list[float] = []
    last = time.thread_time()

    def pause() -> None:
        nonlocal last
        now = time.thread_time()
        gaps.append(now - last)
        last = now

    told = simulate(minutely(), "h1", "web", [], START, 1200, pause=pause)

    assert told.truncated
    assert len(gaps) >= MOST_JUDGED // (2 * JUDGED_BETWEEN_PAUSES)
    # A few milliseconds each; the margin is for a busy machine.
    assert max(gaps) < 0.5


def test_a_simulation_stops_after_a_pause_when_its_time_is_over() -> None:
    pauses: list[None] = []

    told = simulate(
        minutely(),
        "h1",
        "web",
        [],
        START,
        1200,
        pause=lambda: pauses.append(None),
        is_over=lambda: len(pauses) == 2,
    )

    assert told.truncated
    assert len(pauses) == 2
    assert len(told.events) == len(told.judged) > 0


def test_a_simulation_judges_no_more_than_it_may() -> None:
    told = simulate(minutely(), "h1", "web", [], START, 1200, most_judged=55)

    assert told.truncated
    assert len(told.events) == 10
