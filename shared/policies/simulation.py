"""What a policy will do with an instance, by the functions that its host decides by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.contracts.policies import (
    MOST_LISTED,
    MOST_SIMULATED,
    JudgedSnapshot,
    Policy,
    Schedule,
    SimulatedAction,
    SimulatedEvent,
)
from shared.policies import reasons
from shared.policies.moments import slot_text
from shared.policies.naming import snapshot_name
from shared.policies.retention import Held, Judgement, judge, pruned
from shared.policies.schedule import delay_s, latest_slot, slots

# So many judgements take a fifth of a second, as a rule.
MOST_JUDGED = 200_000
# Between two pauses, and what finding a slot counts as: a few milliseconds.
JUDGED_BETWEEN_PAUSES = 5_000
_EFFORT_OF_A_SLOT = 100


class SimulatedInstance(NamedTuple):
    """What a policy does with one instance, and what is there at the end.

    `truncated`: more happens than is listed, or was worked out; `judged` is what is there after the
    last event.
    """

    events: list[SimulatedEvent]
    judged: list[JudgedSnapshot]
    truncated: bool


def simulate(
    policy: Policy,
    host: str,
    instance: str,
    held: Sequence[Held],
    start: datetime,
    days: int,
    plan_delay_s: float = 0.0,
    begun: datetime | None = None,
    most: int = MOST_SIMULATED,
    most_judged: int = MOST_JUDGED,
    pause: Callable[[], None] = lambda: None,
    is_over: Callable[[], bool] = lambda: False,
) -> SimulatedInstance:
    """Return what a policy does with an instance of a host after `start`, and what is left then.

    `held` are the snapshots that are there, with their guards, which stay as they are. `begun` is
    the last slot that the host has begun already: of those overdue the newest is caught up at once;
    None: the policy begins at `start`. A slot takes a snapshot as long after it as the host begins,
    and prunes right afterwards; before the first one nothing is pruned.

    It judges at most `most_judged` snapshots. `pause` is called every few milliseconds, to let
    others work; where `is_over` says so after one, it stops as if that were all it may judge.
    """
    zone = policy.schedule.timezone
    existing = {snapshot.name for snapshot in held}
    end = start + timedelta(days=days)
    present = list(held)
    events: list[SimulatedEvent] = []
    work = _Work(most_judged, pause, is_over)
    delay = timedelta(seconds=delay_s(policy.schedule, host, plan_delay_s))
    for slot, now in _due(policy.schedule, delay, begun or start, start, end):
        taken = Held(snapshot_name(policy, instance, slot), now)
        if any(snapshot.name == taken.name for snapshot in present):
            continue
        judged = judge([*present, taken], policy.retention, zone, now)
        caused = _events(taken, judged, now)
        if len(events) + len(caused) > most or not work.may_go_on(len(judged)):
            judged = judge(present, policy.retention, zone, now)
            return SimulatedInstance(events, _listed(judged, existing, most), truncated=True)
        events += caused
        present = [each.held for each in judged if each.kept]
    judged = judge(present, policy.retention, zone, end)
    return SimulatedInstance(events, _listed(judged, existing, most), len(judged) > most)


@dataclass(slots=True)
class _Work:
    """How much is judged, and when to let others work."""

    most: int
    pause: Callable[[], None]
    is_over: Callable[[], bool]
    judged: int = 0
    since_pause: int = 0

    def may_go_on(self, judged: int) -> bool:
        """Count what was judged for a slot; return whether that was not too much."""
        self.judged += judged
        self.since_pause += judged + _EFFORT_OF_A_SLOT
        if self.since_pause >= JUDGED_BETWEEN_PAUSES:
            self.since_pause = 0
            self.pause()
            if self.is_over():
                return False
        return self.judged <= self.most


def _due(
    schedule: Schedule, delay: timedelta, begun: datetime, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the slots that a host begins after one moment and not after another, and when."""
    overdue = latest_slot(schedule, begun, start - delay)
    if overdue is not None:
        yield overdue, start
    for slot in slots(schedule, max(begun, start - delay), end - delay):
        yield slot, slot + delay


def _events(taken: Held, judged: Sequence[Judgement], now: datetime) -> list[SimulatedEvent]:
    at = slot_text(now)
    return [
        SimulatedEvent(at=at, action=SimulatedAction.TAKE, snapshot=taken.name),
        *(
            SimulatedEvent(
                at=at,
                action=SimulatedAction.PRUNE,
                snapshot=each.held.name,
                reasons=each.reasons[:MOST_LISTED],
            )
            for each in pruned(judged)
        ),
    ]


def _listed(judged: Sequence[Judgement], existing: set[str], most: int) -> list[JudgedSnapshot]:
    """Return judgements as they are told, the newest first."""
    newest_first = sorted(judged, key=lambda each: each.held.created_at, reverse=True)
    return [
        JudgedSnapshot(
            snapshot=each.held.name,
            created_at=slot_text(each.held.created_at),
            taken=each.held.name in existing,
            owned=reasons.FOREIGN not in each.held.guards,
            kept=each.kept,
            reasons=each.reasons[:MOST_LISTED],
        )
        for each in newest_first[:most]
    ]
