"""Which snapshots of an instance a policy keeps, and why.

Two rules decide it, those of restic and of Proxmox Backup Server; `docs/operations/snapshots.md`
tells them apart. In both a period (an hour, a day, ...) is represented by its newest snapshot, in
the policy's time zone.

* restic: each `keep_*` counts its own periods, from the newest snapshot on. One that has counts
  left at the end keeps the oldest snapshot too.
* Proxmox Backup Server: one `keep_*` after another, each counts only the periods in which none
  before it has kept a snapshot.

A snapshot that is guarded, or dated in the future, always stays and counts for nothing; but one
that is only in use does count. The newest of those that count always stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct

from shared.contracts.policies import Retention, RetentionRule
from shared.policies import reasons
from shared.policies.periods import Periods, periods_of, reason_of

# Guards of snapshots that count all the same.
_COUNTED = frozenset((reasons.IN_USE,))


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot that an instance has; `guards` are words of `reasons` that keep it."""

    name: str
    created_at: datetime
    tags: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


class Judgement(Struct, frozen=True, gc=False):
    """Whether a snapshot stays, and why, in words of `reasons`."""

    held: Held
    kept: bool
    reasons: tuple[str, ...]


class _Rule(NamedTuple):
    """One of the `keep_*` of a retention, for a period."""

    word: str
    keep: int
    column: int


# Why a snapshot stays: a list of reasons that the rules add to.
_Why = list[str]


def judge(
    held: Sequence[Held], retention: Retention, timezone: str, now: datetime
) -> list[Judgement]:
    """Return for each of an instance's snapshots, in the order given, whether it stays and why."""
    why: list[_Why] = [[] for _ in held]
    counted = []
    for snapshot, its in zip(held, why, strict=True):
        if snapshot.guards or snapshot.created_at > now:
            its.extend(_guards(snapshot, now))
            if not _COUNTED.issuperset(its):
                continue
        counted.append((snapshot, its))
    counted.sort(key=_age, reverse=True)
    if counted:
        _apply(counted, retention, timezone)
    return [
        Judgement(snapshot, bool(its), tuple(its) or (reasons.NO_RULE,))
        for snapshot, its in zip(held, why, strict=True)
    ]


def pruned(judged: Sequence[Judgement]) -> list[Judgement]:
    """Return the judgements of those that go, in the order in which they go: the oldest first."""
    gone = [each for each in judged if not each.kept]
    return sorted(gone, key=lambda each: (each.held.created_at, each.held.name))


def _age(counted: tuple[Held, _Why]) -> tuple[datetime, str]:
    return counted[0].created_at, counted[0].name


def _guards(snapshot: Held, now: datetime) -> tuple[str, ...]:
    future = (reasons.FUTURE,) if snapshot.created_at > now else ()
    return snapshot.guards + future


def _apply(counted: list[tuple[Held, _Why]], retention: Retention, timezone: str) -> None:
    """Add the reasons of a retention; `counted` is sorted, newest first."""
    why = [its for _, its in counted]
    periods = periods_of((snapshot.created_at for snapshot, _ in counted), timezone)
    keep = _pbs if retention.rule is RetentionRule.PBS else _restic
    keep(periods, why, retention)
    if retention.keep_tags:
        for snapshot, its in counted:
            its.extend(
                f"{reasons.TAG} {each}" for each in retention.keep_tags if each in snapshot.tags
            )
    why[0].append(reasons.NEWEST)


def _restic(periods: list[Periods], why: list[_Why], retention: Retention) -> None:
    _keep_last(why, retention.keep_last)
    for word, keep, column in _rules(retention):
        left, last = keep, None
        for period, its in zip(map(itemgetter(column), periods), why, strict=True):
            if period == last:
                continue
            its.append(reason_of(word, period))
            left, last = left - 1, period
            if not left:
                break
        if left and len(why) > 1 and periods[-1][column] == periods[-2][column]:
            why[-1].append(f"{reason_of(word, periods[-1][column])} {reasons.OLDEST}")


def _pbs(periods: list[Periods], why: list[_Why], retention: Retention) -> None:
    _keep_last(why, retention.keep_last)
    kept = list(range(min(retention.keep_last, len(why))))
    undecided = list(range(len(kept), len(why)))
    for word, keep, column in _rules(retention):
        represented = {periods[each][column] for each in kept}
        counted: set[int] = set()
        decide, undecided = iter(undecided), []
        for each in decide:
            period = periods[each][column]
            if period in represented:
                undecided.append(each)
            elif period not in counted:
                if len(counted) == keep:
                    undecided += [each, *decide]
                    break
                counted.add(period)
                kept.append(each)
                why[each].append(reason_of(word, period))


def _keep_last(why: list[_Why], keep: int) -> None:
    for place, its in enumerate(why[:keep], 1):
        its.append(f"{reasons.LAST} {place}")


def _rules(retention: Retention) -> list[_Rule]:
    """Return the rules for periods that keep anything, in the order of their application."""
    rules = (
        _Rule(reasons.HOURLY, retention.keep_hourly, 0),
        _Rule(reasons.DAILY, retention.keep_daily, 1),
        _Rule(reasons.WEEKLY, retention.keep_weekly, 2),
        _Rule(reasons.MONTHLY, retention.keep_monthly, 3),
        _Rule(reasons.YEARLY, retention.keep_yearly, 4),
    )
    return [rule for rule in rules if rule.keep]
