"""Measure the planning of 10,000 instances by snapshot policies.

For each instance: which of ten policies select it, when the one that does is due next, and which of
its 60 snapshots that one keeps, with the reasons. The policies are due at different times in five
time zones, half of them keep by restic's rule and half by that of Proxmox Backup Server; every
instance's snapshots have times of their own, to the second.

The baseline is the same in the plain way, for a twentieth of the instances: a text for each period
of each snapshot, as Proxmox Backup Server has it, and cronsim for each instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim
from msgspec.structs import replace

from benchmarks.figures import Figure, at_most, centile, show, spread, timed
from benchmarks.scale import Scale, from_environment
from shared.contracts.policies import Policy, Retention, RetentionRule, Schedule, Selection
from shared.policies.retention import Held, judge
from shared.policies.schedule import next_slot
from shared.policies.selection import selects

INSTANCES_PER_HOST = 100
BASELINE_SHARE = 20
POLICIES = 10
RETENTION = Retention(keep_last=3, keep_hourly=24, keep_daily=14, keep_weekly=8, keep_monthly=11)
MOST_KEPT = 3 + 24 + 14 + 8 + 11
NOW = datetime(2026, 11, 29, 20, 45, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")
# The ages in hours of 60 snapshots such as the policies leave: hours, days, weeks, months.
AGES = (
    *range(25),
    *range(25, 25 + 15 * 24, 24),
    *range(400, 400 + 9 * 168, 168),
    *range(2000, 2000 + 11 * 730, 730),
)
FORMATS = {
    "keep_hourly": "%Y-%m-%dT%H",
    "keep_daily": "%Y-%m-%d",
    "keep_weekly": "%G-W%V",
    "keep_monthly": "%Y-%m",
}


class Planned(NamedTuple):
    """An instance, as a host has to plan it."""

    name: str
    labels: dict[str, str]
    held: list[Held]


def figures(scale: Scale) -> Iterator[Figure]:
    """Measure both in this process."""
    policies = [_policy(number) for number in range(POLICIES)]
    instances = [_instance(number) for number in range(scale.scraped_hosts * INSTANCES_PER_HOST)]
    some = instances[:: min(BASELINE_SHARE, len(instances))]
    assert all(MOST_KEPT // 2 < _plan(policies, each) <= MOST_KEPT for each in some)
    ours = timed(_planning(_plan, policies, instances), scale.slow_rounds)
    plain = timed(_planning(_plan_plainly, policies, some), max(1, scale.slow_rounds // 10))
    yield Figure(
        f"planning {len(instances)} instances with {len(AGES)} snapshots each",
        spread(ours),
        f"in the plain way, {len(some)} of them: {spread(plain)}",
        centile(ours, 50),
        at_most(1000, "ms (p50)"),
    )


def _policy(number: int) -> Policy:
    return Policy(
        id=str(number),
        name=f"policy-{number}",
        schedule=Schedule(cron=f"{number} * * * *", timezone=ZONES[number % len(ZONES)]),
        selection=Selection(names=("web-*", "db-*"), labels={"policy": str(number)}),
        retention=replace(RETENTION, rule=list(RetentionRule)[number % 2]),
    )


def _instance(number: int) -> Planned:
    late = timedelta(seconds=number % 3571)
    held = [Held(f"policy-{age}", NOW - timedelta(hours=age) - late) for age in AGES]
    return Planned(f"web-{number}", {"policy": str(number % POLICIES), "tier": "prod"}, held)


def _planning(
    plan: Callable[[list[Policy], Planned], object],
    policies: list[Policy],
    instances: list[Planned],
) -> Callable[[], object]:
    return lambda: [plan(policies, each) for each in instances]


def _plan(policies: list[Policy], instance: Planned) -> int:
    """Plan an instance; return how many snapshots stay."""
    kept = 0
    for policy in policies:
        if selects(policy.selection, "h1", "default", instance.name, instance.labels):
            next_slot(policy.schedule, NOW)
            judged = judge(instance.held, policy.retention, policy.schedule.timezone, NOW)
            kept += sum(each.kept for each in judged)
    return kept


def _plan_plainly(policies: list[Policy], instance: Planned) -> int:
    kept: set[str] = set()
    for policy in policies:
        if policy.selection.labels.items() <= instance.labels.items():
            zone = ZoneInfo(policy.schedule.timezone)
            next(CronSim(policy.schedule.cron, NOW.astimezone(zone)))
            newest_first = sorted(instance.held, key=lambda each: each.created_at, reverse=True)
            for rule, form in FORMATS.items():
                periods = {
                    each.name: each.created_at.astimezone(zone).strftime(form)
                    for each in newest_first
                }
                newest_of = {periods[each.name]: each.name for each in reversed(newest_first)}
                kept.update(list(newest_of.values())[-getattr(policy.retention, rule) :])
    return len(kept)


if __name__ == "__main__":
    show(figures(from_environment()))
