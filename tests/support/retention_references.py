"""What restic's rule and that of Proxmox Backup Server keep, in the plain words of their documents.

Slow, and written apart from what they are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.contracts.policies import Retention, RetentionRule
from shared.policies.retention import Held

FORMATS = {
    "hourly": "%Y-%m-%dT%H",
    "daily": "%Y-%m-%d",
    "weekly": "%G-W%V",
    "monthly": "%Y-%m",
    "yearly": "%Y",
}

Kept = set[str]


@lru_cache(maxsize=2**17)
def period_of(time: datetime, rule: str, zone: ZoneInfo) -> str:
    """Return the text of the period that a time is in."""
    return time.astimezone(zone).strftime(FORMATS[rule])


def by_restic(newest_first: Sequence[Held], retention: Retention, zone: ZoneInfo) -> Kept:
    """Return what restic's rule keeps, in the plain words of its documents."""
    found = {each.name for each in newest_first[: retention.keep_last]}
    for rule in FORMATS:
        left, last = getattr(retention, f"keep_{rule}"), ""
        for position, each in enumerate(newest_first):
            period = period_of(each.created_at, rule, zone)
            if left and (period != last or position == len(newest_first) - 1):
                found.add(each.name)
                left, last = left - 1, period
    return found


def by_pbs(newest_first: Sequence[Held], retention: Retention, zone: ZoneInfo) -> Kept:
    """Return what the rule of Proxmox Backup Server keeps, in the plain words of its documents."""
    found = {each.name for each in newest_first[: retention.keep_last]}
    gone: set[str] = set()
    for rule in FORMATS:
        periods = {each.name: period_of(each.created_at, rule, zone) for each in newest_first}
        covered = {periods[name] for name in found}
        counted: set[str] = set()
        for each in newest_first:
            period = periods[each.name]
            if each.name in found or each.name in gone or period in covered:
                continue
            if period in counted:
                gone.add(each.name)
            elif len(counted) < getattr(retention, f"keep_{rule}"):
                counted.add(period)
                found.add(each.name)
            else:
                break
    return found


REFERENCES: dict[RetentionRule, Callable[[Sequence[Held], Retention, ZoneInfo], Kept]] = {
    RetentionRule.RESTIC: by_restic,
    RetentionRule.PBS: by_pbs,
}
