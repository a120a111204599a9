"""The hour, day, week, month and year that a moment is in, by the clocks of a time zone.

A period is a number that grows with time. The hour that clocks show twice is one period, as in
restic and Proxmox Backup Server. Weeks are those of ISO 8601: they begin on Monday, and a week over
New Year is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from shared.policies import reasons
from shared.policies.zones import zone_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Offsets from UTC are multiples of it, since 1972 everywhere: no period begins within one.
_QUARTER_S = 900
_HOURS, _MONTHS, _WEEKDAYS = 24, 12, 7
# Snapshots of many instances are of the same quarters.
_REMEMBERED = 4096


class Periods(NamedTuple):
    """The periods that a moment is in, as numbers."""

    hour: int
    day: int
    week: int
    month: int
    year: int


def periods_of(moments: Iterable[datetime], timezone: str) -> list[Periods]:
    """Return the periods of each moment."""
    return [_periods(moment.timestamp() // _QUARTER_S, timezone) for moment in moments]


@lru_cache(maxsize=_REMEMBERED)
def reason_of(word: str, period: int) -> str:
    """Return the reason for keeping the newest snapshot of a period, as `daily 2026-11-29`."""
    return f"{word} {_TEXTS[word](period)}"


@lru_cache(maxsize=_REMEMBERED)
def _periods(quarter: float, timezone: str) -> Periods:
    moment = _EPOCH + timedelta(seconds=quarter * _QUARTER_S)
    # LXD writes the year 1 where it knows no time.
    with suppress(OverflowError):
        moment = moment.astimezone(zone_of(timezone))
    day = moment.toordinal()
    return Periods(
        hour=day * _HOURS + moment.hour,
        day=day,
        # Day 1, the first of January of the year 1, was a Monday.
        week=(day - 1) // _WEEKDAYS,
        month=moment.year * _MONTHS + moment.month - 1,
        year=moment.year,
    )


def _hour_text(hour: int) -> str:
    day, hour = divmod(hour, _HOURS)
    return f"{_day_text(day)}T{hour:02}"


def _day_text(day: int) -> str:
    return date.fromordinal(day).isoformat()


def _week_text(week: int) -> str:
    year, number, _ = date.fromordinal(week * _WEEKDAYS + 1).isocalendar()
    return f"{year:04}-W{number:02}"


def _month_text(month: int) -> str:
    year, month = divmod(month, _MONTHS)
    return f"{year:04}-{month + 1:02}"


def _year_text(year: int) -> str:
    return f"{year:04}"


_TEXTS = {
    reasons.HOURLY: _hour_text,
    reasons.DAILY: _day_text,
    reasons.WEEKLY: _week_text,
    reasons.MONTHLY: _month_text,
    reasons.YEARLY: _year_text,
}
