"""What restic and Proxmox Backup Server keep, by their own documents, and what we keep.

The vectors are written down from, each named beside it:

* R1: restic, doc/060_forget.rst, "Removing snapshots according to a policy", the Sundays
* R2: the same, the example of 100 years
* R3: restic, internal/data/snapshot_policy_test.go with testdata/policy_keep_snapshots_N (2026-08)
* P1: Proxmox Backup Server, docs/maintenance.rst, "Retention Settings Example"
* P2: the same, "Pruning", and docs/prune-simulator/documentation.html: weeks are those of ISO 8601,
  and no later rule considers what an earlier one covers
* P3: Proxmox Backup Server, tests/prune.rs (2024-06)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from shared.contracts.policies import Retention, RetentionRule
from shared.policies.moments import parse_moment, slot_text
from shared.policies.reasons import word_of
from shared.policies.retention import Held, judge

PBS = RetentionRule.PBS


def kept(times: Iterable[datetime], retention: Retention) -> list[str]:
    """Return the times of the snapshots that stay, the oldest first."""
    held = [Held(str(number), time) for number, time in enumerate(sorted(times))]
    judged = judge(held, retention, "UTC", held[-1].created_at)
    return [slot_text(each.held.created_at).removesuffix("Z") for each in judged if each.kept]


def at(*texts: str) -> list[datetime]:
    """Return times in UTC."""
    return [parse_moment(f"{text}Z") for text in texts]


# R1: every Sunday for twelve weeks; `--keep-daily 4` keeps the last four of them.
SUNDAYS = [datetime(2019, 9, 1, 11, tzinfo=UTC) + timedelta(weeks=week) for week in range(12)]


def test_restic_counts_days_with_snapshots_only() -> None:
    assert kept(SUNDAYS, Retention(keep_daily=4)) == [
        "2019-10-27T11:00:00",
        "2019-11-03T11:00:00",
        "2019-11-10T11:00:00",
        "2019-11-17T11:00:00",
    ]


@pytest.mark.parametrize(
    ("last_day", "months_more", "years_more"),
    [("2019-11-17", 11, 73), ("2017-12-31", 11, 74)],
)
def test_restic_keeps_of_a_hundred_years_what_its_document_says(
    last_day: str, months_more: int, years_more: int
) -> None:
    # R2, on a Sunday: 7 days, 4 weeks more, 12 or 11 months more, "75 or 74" years more. (Except on
    # New Year's Eve restic keeps 73 more: the newest snapshot is one of a year, too.)
    [newest] = at(f"{last_day}T11:00:00")
    held = [Held(str(day), newest - timedelta(days=day)) for day in range(36_500)]
    retention = Retention(keep_daily=7, keep_weekly=5, keep_monthly=12, keep_yearly=75)

    judged = [each for each in judge(held, retention, "UTC", newest) if each.kept]

    first = Counter(word_of(each.reasons[0]) for each in judged)
    whole = Counter(word_of(reason) for each in judged for reason in each.reasons)
    assert first == {"daily": 7, "weekly": 4, "monthly": months_more, "yearly": years_more}
    assert whole == {"daily": 7, "weekly": 5, "monthly": 12, "yearly": 75, "newest": 1}


def _restic_test() -> list[datetime]:
    days = {
        8: (8, 10, 12, 13, 15, 18, 20, 21, 22),
        9: (1, 2, 5, 6, 8, 9, 10, 11, 20, 22),
        10: (1, 2, 5, 6, 8, 9, 10, 11, 20, 22),
        11: (8, 10, 12, 13, 15, 18, 20, 21, 22),
    }
    ordinary = [
        datetime(year, month, day, 10, 20, 30, tzinfo=UTC)
        for year in (2014, 2015)
        for month, its in days.items()
        for day in its
    ]
    a_tenth_later = [
        datetime(year, month, 13, 10, 20, 30, 100_000, tzinfo=UTC)
        for year in (2014, 2015)
        for month in (8, 11)
    ]
    at_the_same_time = [datetime(2015, 10, 22, 10, 20, 30, tzinfo=UTC)] * 4
    in_2016 = (
        *("01T01:02:03", "01T01:03:03", "01T07:08:03", "03T07:02:03", "04T10:23:03", "04T11:23:03"),
        *("04T12:23:03", "04T12:24:03", "04T12:28:03", "04T12:30:03", "04T16:23:03", "05T09:02:03"),
        *("06T08:02:03", "07T10:02:03", "08T20:02:03", "09T21:02:03", "12T21:02:03", "12T21:08:03"),
        "18T12:02:03",
    )
    return [*ordinary, *a_tenth_later, *at_the_same_time, *at(*(f"2016-01-{t}" for t in in_2016))]


RESTIC_TEST = _restic_test()
A_WEEK_OF_RESTIC = (
    *("2016-01-05T09:02:03", "2016-01-06T08:02:03", "2016-01-07T10:02:03", "2016-01-08T20:02:03"),
    *("2016-01-09T21:02:03", "2016-01-12T21:08:03", "2016-01-18T12:02:03"),
)


@pytest.mark.parametrize(
    ("number", "retention", "expected"),
    [
        (1, Retention(keep_last=10), (
            "2016-01-04T12:30:03", "2016-01-04T16:23:03", *A_WEEK_OF_RESTIC[:5],
            "2016-01-12T21:02:03", *A_WEEK_OF_RESTIC[5:])),
        (5, Retention(keep_hourly=20), (
            "2015-11-13T10:20:30", "2015-11-15T10:20:30", "2015-11-18T10:20:30",
            "2015-11-20T10:20:30", "2015-11-21T10:20:30", "2015-11-22T10:20:30",
            "2016-01-01T01:03:03", "2016-01-01T07:08:03", "2016-01-03T07:02:03",
            "2016-01-04T10:23:03", "2016-01-04T11:23:03", "2016-01-04T12:30:03",
            "2016-01-04T16:23:03", *A_WEEK_OF_RESTIC)),
        (6, Retention(keep_daily=3), A_WEEK_OF_RESTIC[4:]),
        (7, Retention(keep_daily=10), (
            "2016-01-01T07:08:03", "2016-01-03T07:02:03", "2016-01-04T16:23:03",
            *A_WEEK_OF_RESTIC)),
        (9, Retention(keep_last=5, keep_daily=5), (
            *A_WEEK_OF_RESTIC[2:5], "2016-01-12T21:02:03", *A_WEEK_OF_RESTIC[5:])),
        (12, Retention(keep_weekly=4), (
            "2016-01-03T07:02:03", *A_WEEK_OF_RESTIC[4:])),
        (13, Retention(keep_daily=3, keep_weekly=4), (
            "2016-01-03T07:02:03", *A_WEEK_OF_RESTIC[4:])),
        (14, Retention(keep_monthly=6), (
            "2014-11-22T10:20:30", "2015-08-22T10:20:30", "2015-09-22T10:20:30",
            "2015-10-22T10:20:30", "2015-11-22T10:20:30", "2016-01-18T12:02:03")),
        (15, Retention(keep_daily=2, keep_weekly=2, keep_monthly=6), (
            "2014-11-22T10:20:30", "2015-08-22T10:20:30", "2015-09-22T10:20:30",
            "2015-10-22T10:20:30", "2015-11-22T10:20:30", *A_WEEK_OF_RESTIC[5:])),
        # "oldest yearly snapshot": counts are left at the end.
        (16, Retention(keep_yearly=10), (
            "2014-08-08T10:20:30", "2014-11-22T10:20:30", "2015-11-22T10:20:30",
            "2016-01-18T12:02:03")),
        (17, Retention(keep_daily=7, keep_weekly=2, keep_monthly=3, keep_yearly=10), (
            "2014-08-08T10:20:30", "2014-11-22T10:20:30", "2015-10-22T10:20:30",
            "2015-11-22T10:20:30", *A_WEEK_OF_RESTIC)),
    ],
)  # fmt: skip
def test_restic_keeps_of_its_own_test_what_its_golden_files_say(
    number: int, retention: Retention, expected: tuple[str, ...]
) -> None:
    # R3, with the number of the golden file.
    assert len(RESTIC_TEST) == 103, number
    assert tuple(kept(RESTIC_TEST, retention)) == expected


def test_pbs_keeps_of_daily_backups_what_its_example_says() -> None:
    # P1: two weeks of days, two months of weeks, a year of months, ten years.
    retention = Retention(
        keep_last=3, keep_daily=13, keep_weekly=8, keep_monthly=11, keep_yearly=9, rule=PBS
    )
    newest = datetime(2026, 11, 29, 21, tzinfo=UTC)
    days = [newest - timedelta(days=age) for age in range(15 * 366)]

    found = [datetime.fromisoformat(f"{each}+00:00") for each in reversed(kept(days, retention))]

    assert len(found) == 3 + 13 + 8 + 11 + 9
    assert found[:16] == days[:16]
    weeks = found[16:24]
    assert all(each.isoweekday() == 7 for each in weeks)
    assert newest - weeks[-1] >= timedelta(days=60)
    months = found[24:35]
    assert all((each + timedelta(days=1)).day == 1 for each in months)
    assert newest - months[-1] >= timedelta(days=365)
    assert [(each.year, each.month, each.day) for each in found[35:]] == [
        (year, 12, 31) for year in range(2024, 2015, -1)
    ]


ELSA_HOURS = at(
    *("2019-11-15T09:39:15", "2019-11-15T10:49:15", "2019-11-15T10:59:15"),
    *("2019-11-15T11:39:15", "2019-11-15T11:49:15", "2019-11-15T11:59:15"),
)
ELSA_DAYS = at(
    *("2018-11-15T11:59:15", "2019-11-15T11:59:15", "2019-11-21T11:59:15", "2019-11-22T11:59:15"),
    *("2019-11-29T11:59:15", "2019-12-01T11:59:15", "2019-12-02T11:59:15", "2019-12-03T11:59:15"),
    "2019-12-04T11:59:15",
)
ELSA_WEEK = at(
    "2019-12-02T11:59:15", "2019-12-03T11:59:15", "2019-12-04T11:59:15", "2019-12-04T12:59:15"
)


@pytest.mark.parametrize(
    ("times", "retention", "expected"),
    [
        (ELSA_HOURS, Retention(keep_hourly=3), [0, 2, 5]),
        (ELSA_HOURS, Retention(keep_hourly=2), [2, 5]),
        (ELSA_DAYS, Retention(keep_daily=1), [8]),
        (ELSA_DAYS, Retention(keep_last=1, keep_daily=1), [7, 8]),
        (ELSA_DAYS, Retention(keep_daily=1, keep_weekly=1), [5, 8]),
        # 11-29 is in the week that 12-01 represents: no month considers it any more (P2).
        (ELSA_DAYS, Retention(keep_daily=1, keep_weekly=1, keep_monthly=1), [3, 5, 8]),
        (ELSA_DAYS, Retention(keep_monthly=1, keep_yearly=1), [0, 8]),
        (ELSA_WEEK, Retention(keep_last=4), [0, 1, 2, 3]),
        (ELSA_WEEK, Retention(keep_last=3), [1, 2, 3]),
        (ELSA_WEEK, Retention(keep_last=1), [3]),
        (ELSA_WEEK, Retention(keep_last=2, keep_daily=2), [0, 1, 2, 3]),
        (ELSA_WEEK, Retention(keep_daily=3), [0, 1, 3]),
        (ELSA_WEEK, Retention(keep_daily=2), [1, 3]),
        (ELSA_WEEK, Retention(keep_weekly=5), [3]),
        (ELSA_WEEK, Retention(keep_daily=1, keep_weekly=5), [3]),
        (ELSA_WEEK, Retention(keep_monthly=6), [3]),
        (ELSA_WEEK, Retention(keep_yearly=7), [3]),
        (ELSA_WEEK, Retention(keep_weekly=5, keep_monthly=6, keep_yearly=7), [3]),
    ],
)
def test_pbs_keeps_of_its_own_test_what_that_expects(
    times: list[datetime], retention: Retention, expected: list[int]
) -> None:
    # P3. `keep_last=0` alone is left out: there it removes all, here the newest one stays.
    by_pbs = replace(retention, rule=PBS)

    found = kept(times, by_pbs)

    assert found == [slot_text(times[each]).removesuffix("Z") for each in expected]
