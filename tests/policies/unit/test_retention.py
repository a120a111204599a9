"""Which snapshots a policy keeps, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.contracts.policies import Retention, RetentionRule
from shared.policies import reasons
from shared.policies.retention import Held, judge, pruned

NOW = datetime(2026, 11, 29, 20, tzinfo=UTC)


def daily(count: int, guards: tuple[str, ...] = ()) -> list[Held]:
    """Return snapshots of one a day, the newest first: `d0` is of today."""
    return [Held(f"d{age}", NOW - timedelta(days=age), guards=guards) for age in range(count)]


def kept(held: list[Held], retention: Retention, timezone: str = "UTC") -> list[str]:
    """Return the names of the snapshots that stay."""
    return [each.held.name for each in judge(held, retention, timezone, NOW) if each.kept]


def why(held: list[Held], retention: Retention, timezone: str = "UTC") -> list[tuple[str, ...]]:
    """Return the reasons for each snapshot."""
    return [each.reasons for each in judge(held, retention, timezone, NOW)]


def test_the_newest_ones_are_kept_with_their_places() -> None:
    assert why(daily(3), Retention(keep_last=2)) == [
        ("last 1", "newest"),
        ("last 2",),
        ("no_rule",),
    ]


def test_judgements_come_in_the_order_given() -> None:
    shuffled = [Held(f"d{age}", NOW - timedelta(days=age)) for age in (2, 0, 3, 1)]

    judged = judge(shuffled, Retention(keep_last=2), "UTC", NOW)

    assert [each.held for each in judged] == shuffled
    assert [each.kept for each in judged] == [False, True, False, True]
    assert [each.held.name for each in pruned(judged)] == ["d3", "d2"]


def test_the_newest_one_stays_whatever_the_retention() -> None:
    assert kept(daily(3), Retention()) == ["d0"]
    assert why(daily(1), Retention()) == [("newest",)]


def test_one_from_the_future_stays_and_counts_for_nothing() -> None:
    future = Held("later", NOW + timedelta(days=1))

    assert why([future, *daily(2)], Retention(keep_last=1)) == [
        (reasons.FUTURE,),
        ("last 1", "newest"),
        (reasons.NO_RULE,),
    ]


def test_a_guarded_one_stays_and_counts_for_nothing() -> None:
    for guard in (reasons.PROTECTED, reasons.EXPIRES, reasons.FOREIGN):
        guarded = Held("guarded", NOW, guards=(guard,))

        assert why([guarded, *daily(2)], Retention(keep_last=1)) == [
            (guard,),
            ("last 1", "newest"),
            (reasons.NO_RULE,),
        ]


def test_one_in_use_stays_and_counts() -> None:
    used = Held("used", NOW, guards=(reasons.IN_USE,))
    old = Held("old", NOW - timedelta(days=9), guards=(reasons.IN_USE,))

    assert why([used, *daily(2)[1:], old], Retention(keep_last=1)) == [
        (reasons.IN_USE, "last 1", "newest"),
        (reasons.NO_RULE,),
        (reasons.IN_USE,),
    ]


def test_a_snapshot_with_a_tag_of_the_policy_stays() -> None:
    tagged = Held("tagged", NOW - timedelta(days=9), tags=("release", "other"))
    retention = Retention(keep_last=1, keep_tags=("release", "audit"))

    assert why([*daily(2), tagged], retention)[2] == ("tag release",)


def test_restic_counts_each_rule_by_itself_and_keeps_the_oldest_while_counts_are_left() -> None:
    assert kept(daily(9), Retention(keep_last=1, keep_daily=3)) == ["d0", "d1", "d2"]
    # Week 48 and week 47, and one count left.
    assert why(daily(9), Retention(keep_weekly=3)) == [
        ("weekly 2026-W48", "newest"),
        *[("no_rule",)] * 6,
        ("weekly 2026-W47",),
        ("weekly 2026-W47 oldest",),
    ]


def test_pbs_counts_only_what_no_rule_before_has_kept() -> None:
    retention = Retention(keep_last=2, keep_daily=2, keep_weekly=1, rule=RetentionRule.PBS)

    assert why(daily(9), retention) == [
        ("last 1", "newest"),
        ("last 2",),
        ("daily 2026-11-27",),
        ("daily 2026-11-26",),
        *[("no_rule",)] * 3,
        ("weekly 2026-W47",),
        ("no_rule",),
    ]
