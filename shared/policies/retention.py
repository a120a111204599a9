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
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from shared.contracts.policies import Retention, RetentionRule
from shared.policies import reasons
from shared.policies.periods import periods_of, reason_of

# Guards of snapshots that count all the same.
_COUNTED = frozenset((reasons.IN_USE,))
_NO_RULE = (reasons.NO_RULE,)


class Held(Struct, frozen=True, gc=False):
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


class _Counted(NamedTuple):
    """The snapshots that count, newest first: their places in the list, and their periods.

    `columns` has all their hours, then all their days and so on. `why` is of all snapshots, by
    place: the reasons to which the rules add.
    """

    places: list[int]
    columns: list[tuple[int, ...]]
    why: list[tuple[str, ...]]


class _Rule(NamedTuple):
    """One of the `keep_*` of a retention, for a period."""

    word: str
    keep: int
    column: int


def judge(
    held: Sequence[Held], retention: Retention, timezone: str, now: datetime
) -> list[Judgement]:
    """Return for each of an instance's snapshots, in the order given, whether it stays and why."""
    why: list[tuple[str, ...]] = [()] * len(held)
    places = []
    for place, snapshot in enumerate(held):
        if snapshot.guards or snapshot.created_at > now:
            why[place] = _guards(snapshot, now)
            if not _COUNTED.issuperset(why[place]):
                continue
        places.append(place)
    if places:
        _apply(held, _newest_first(held, places), why, retention, timezone)
    return [
        Judgement(snapshot, bool(its), its or _NO_RULE)
        for snapshot, its in zip(held, why, strict=True)
    ]


def pruned(judged: Sequence[Judgement]) -> list[Judgement]:
    """Return the judgements of those that go, in the order in which they go: the oldest first."""
    gone = [each for each in judged if not each.kept]
    return sorted(gone, key=lambda each: (each.held.created_at, each.held.name))


def _guards(snapshot: Held, now: datetime) -> tuple[str, ...]:
    future = (reasons.FUTURE,) if snapshot.created_at > now else ()
    return snapshot.guards + future


def _newest_first(held: Sequence[Held], places: list[int]) -> list[int]:
    """Return the places of snapshots by their age; of the same age, by their names."""
    times = [snapshot.created_at for snapshot in held]
    places.sort(key=times.__getitem__, reverse=True)
    if len(set(times)) < len(times):
        places.sort(key=lambda place: (times[place], held[place].name), reverse=True)
    return places


def _apply(
    held: Sequence[Held],
    places: list[int],
    why: list[tuple[str, ...]],
    retention: Retention,
    timezone: str,
) -> None:
    """Add the reasons of a retention for the snapshots at these places, newest first."""
    periods = periods_of([held[place].created_at for place in places], timezone)
    counted = _Counted(places, list(zip(*periods, strict=True)), why)
    for place, index in zip(places, range(1, retention.keep_last + 1), strict=False):
        why[place] += (f"{reasons.LAST} {index}",)
    if retention.rule is RetentionRule.PBS:
        _pbs(counted, retention)
    else:
        _restic(counted, retention)
    if retention.keep_tags:
        for place in places:
            tags = held[place].tags
            why[place] += tuple(
                f"{reasons.TAG} {tag}" for tag in retention.keep_tags if tag in tags
            )
    why[places[0]] += (reasons.NEWEST,)


def _restic(counted: _Counted, retention: Retention) -> None:
    why = counted.why
    for word, keep, column in _rules(retention):
        left, last = keep, -1
        periods = counted.columns[column]
        for period, place in zip(periods, counted.places, strict=True):
            if period != last:
                why[place] += (reason_of(word, period),)
                left, last = left - 1, period
                if not left:
                    break
        if left and len(periods) > 1 and periods[-1] == periods[-2]:
            why[counted.places[-1]] += (f"{reason_of(word, last)} {reasons.OLDEST}",)


def _pbs(counted: _Counted, retention: Retention) -> None:
    total = len(counted.places)
    kept = list(range(min(retention.keep_last, total)))
    undecided = list(range(len(kept), total))
    for word, keep, column in _rules(retention):
        periods = counted.columns[column]
        represented = {periods[each] for each in kept}
        found: set[int] = set()
        decide, undecided = iter(undecided), []
        for each in decide:
            period = periods[each]
            if period in represented:
                undecided.append(each)
            elif period not in found:
                if len(found) == keep:
                    undecided += [each, *decide]
                    break
                found.add(period)
                kept.append(each)
                counted.why[counted.places[each]] += (reason_of(word, period),)


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
