"""Three years of snapshots in several time zones: days on which clocks change, weeks, leap days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.contracts.policies import Retention, RetentionRule
from shared.policies.moments import parse_moment
from shared.policies.reasons import word_of
from shared.policies.retention import Held, judge
from tests.support.retention_references import REFERENCES, Kept

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2029, 1, 1, tzinfo=UTC)


def kept(held: list[Held], retention: Retention, timezone: str) -> Kept:
    """Return the names of the snapshots that stay."""
    return {each.held.name for each in judge(held, retention, timezone, END) if each.kept}


@pytest.mark.parametrize("rule", list(RetentionRule))
@pytest.mark.parametrize("timezone", ZONES)
def test_three_years_of_snapshots_are_kept_as_the_documents_say(
    timezone: str, rule: RetentionRule
) -> None:
    retention = Retention(
        keep_last=3,
        keep_hourly=30,
        keep_daily=21,
        keep_weekly=30,
        keep_monthly=30,
        keep_yearly=2,
        rule=rule,
    )
    times = (START + timedelta(minutes=330) * step for step in range(5_000))
    newest_first = [Held(time.isoformat(), time) for time in times if time < END][::-1]

    for age in range(0, len(newest_first), 1499):
        there = newest_first[age:]
        expected = REFERENCES[rule](there, retention, ZoneInfo(timezone))

        assert kept(there, retention, timezone) == expected
        assert len(expected) > 80 or len(there) < 2000


_moments = st.integers(0, int((END - START).total_seconds()) // 600 - 1)
_counts = st.integers(0, 12)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.sets(_moments, min_size=1, max_size=60),
    timezone=st.sampled_from(ZONES),
    retention=st.builds(
        Retention,
        keep_last=_counts,
        keep_hourly=_counts,
        keep_daily=_counts,
        keep_weekly=_counts,
        keep_monthly=_counts,
        keep_yearly=_counts,
        rule=st.sampled_from(RetentionRule),
    ),
)
def test_any_snapshots_are_kept_as_the_documents_say_and_the_newest_one_besides(
    steps: set[int], timezone: str, retention: Retention
) -> None:
    times = [START + timedelta(minutes=10) * step for step in sorted(steps, reverse=True)]
    held = [Held(time.isoformat(), time) for time in times]

    expected = REFERENCES[retention.rule](held, retention, ZoneInfo(timezone))

    assert kept(held, retention, timezone) == expected | {held[0].name}


def why(times: list[str], retention: Retention, timezone: str) -> list[str]:
    """Return for each time the reason of the only rule, empty if it goes."""
    held = [Held(time, parse_moment(time)) for time in times]
    reasons = [each.reasons[0] for each in judge(held, retention, timezone, END)]
    return ["" if word_of(each) == "no_rule" else each for each in reasons]


@pytest.mark.parametrize(
    ("timezone", "rule", "times", "expected"),
    [
        # A week over New Year is one; 2026 has a week 53.
        ("UTC", "keep_weekly", ["2026-12-27T12:00:00Z", "2026-12-31T12:00:00Z",
            "2027-01-03T12:00:00Z", "2027-01-04T12:00:00Z"],
            ["weekly 2026-W52", "", "weekly 2026-W53", "weekly 2027-W01"]),
        ("UTC", "keep_weekly", ["2024-12-29T12:00:00Z", "2024-12-30T12:00:00Z",
            "2025-01-05T12:00:00Z"], ["weekly 2024-W52", "", "weekly 2025-W01"]),
        # Where it is Monday already.
        ("Asia/Kolkata", "keep_weekly", ["2027-01-03T18:00:00Z", "2027-01-03T19:00:00Z"],
            ["weekly 2026-W53", "weekly 2027-W01"]),
        ("America/New_York", "keep_weekly", ["2027-01-04T04:00:00Z", "2027-01-04T06:00:00Z"],
            ["weekly 2026-W53", "weekly 2027-W01"]),
        # A leap day is a day of its own, and the end of its month.
        ("Europe/Berlin", "keep_daily", ["2028-02-28T12:00:00Z", "2028-02-29T12:00:00Z",
            "2028-03-01T12:00:00Z"], ["daily 2028-02-28", "daily 2028-02-29", "daily 2028-03-01"]),
        ("Europe/Berlin", "keep_monthly", ["2028-02-28T12:00:00Z", "2028-02-29T22:30:00Z",
            "2028-02-29T23:30:00Z"], ["", "monthly 2028-02", "monthly 2028-03"]),
        # The year ends where the zone says.
        ("America/New_York", "keep_yearly", ["2027-01-01T04:59:00Z", "2027-01-01T05:01:00Z"],
            ["yearly 2026", "yearly 2027"]),
        # Clocks go forward in Berlin: the hour 2 is not there, and this day has 23 hours.
        ("Europe/Berlin", "keep_hourly", ["2027-03-28T00:30:00Z", "2027-03-28T01:30:00Z"],
            ["hourly 2027-03-28T01", "hourly 2027-03-28T03"]),
        ("Europe/Berlin", "keep_daily", ["2027-03-27T23:00:00Z", "2027-03-28T21:59:00Z",
            "2027-03-28T22:00:00Z"], ["", "daily 2027-03-28", "daily 2027-03-29"]),
        # Back: the hour 2 is there twice, and counts as one, in both documents.
        ("Europe/Berlin", "keep_hourly", ["2027-10-30T23:30:00Z", "2027-10-31T00:30:00Z",
            "2027-10-31T01:30:00Z", "2027-10-31T02:30:00Z"], ["hourly 2027-10-31T01", "",
            "hourly 2027-10-31T02", "hourly 2027-10-31T03"]),
        # By half an hour on Lord Howe: 01:30 to 02:00 is there twice.
        ("Australia/Lord_Howe", "keep_hourly", ["2027-04-03T14:45:00Z", "2027-04-03T15:15:00Z",
            "2027-04-03T15:30:00Z"], ["", "hourly 2027-04-04T01", "hourly 2027-04-04T02"]),
        # An offset of half an hour: the hour begins at 18:30 UTC.
        ("Asia/Kolkata", "keep_daily", ["2027-05-01T18:29:00Z", "2027-05-01T18:30:00Z"],
            ["daily 2027-05-01", "daily 2027-05-02"]),
        ("Asia/Kolkata", "keep_hourly", ["2027-05-01T18:00:00Z", "2027-05-01T18:29:59Z",
            "2027-05-01T18:30:00Z"], ["", "hourly 2027-05-01T23", "hourly 2027-05-02T00"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("documents", list(RetentionRule))
def test_periods_are_those_of_the_clocks_of_the_zone(
    timezone: str, rule: str, times: list[str], expected: list[str], documents: RetentionRule
) -> None:
    # As many as there are, so that no oldest one is kept for the counts that are left.
    counts = {rule: len([each for each in expected if each])}

    assert why(times, replace(Retention(rule=documents), **counts), timezone) == expected


def test_a_snapshot_without_a_time_is_as_old_as_can_be() -> None:
    # LXD writes the year 1 where it knows no time.
    times = ["0001-01-01T00:00:00Z", "2026-05-01T00:00:00Z"]

    assert why(times, Retention(keep_daily=1), "America/New_York") == ["", "daily 2026-04-30"]
    assert why(times, Retention(keep_yearly=2), "America/New_York") == [
        "yearly 0001",
        "yearly 2026",
    ]
