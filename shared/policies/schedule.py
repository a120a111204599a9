"""When a policy is due: cron, as the clocks of its time zone show it.

The expression has the five fields of Debian's cron, which cronsim reads. Where clocks are changed:

* A schedule of certain times, whose minute and hour do not begin with `*`: a time that the clocks
  skip runs at the first moment after the gap, a time that they show twice runs the first time.
* Any other runs whenever the clocks show one of its times: not at all where they skip it, and twice
  where they show it twice. So `*/15 * * * *` is there every quarter of an hour, whatever happens.

Every function takes aware times, and returns them in UTC.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.contracts.errors import InvalidInput
from shared.contracts.policies import Schedule
from shared.policies import rules
from shared.policies.zones import moment_after_gap, moments_of, repeated, zone_of

_FIELDS = 5
_A_SECOND = timedelta(seconds=1)
# Where the shortest time between two slots is looked for.
_SAMPLED_FROM = datetime(2024, 1, 1, tzinfo=UTC)
_SAMPLED_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_SAMPLED = 400
_HASHED = 2**64


def check_schedule(schedule: Schedule) -> None:
    """Raise InvalidInput for a schedule that cannot be carried out, or never is due."""
    zone_of(schedule.timezone)
    _check_cron(schedule.cron)
    next_slot(schedule, _SAMPLED_FROM)
    sampled = islice(slots(schedule, _SAMPLED_FROM, _SAMPLED_UNTIL), _MOST_SAMPLED)
    shortest = min((after - before for before, after in pairwise(sampled)), default=None)
    if shortest is not None and schedule.jitter_s >= shortest.total_seconds():
        raise InvalidInput("schedule.jitter_s", rules.JITTER)


def next_slot(schedule: Schedule, after: datetime) -> datetime:
    """Return the first slot after a moment; raises InvalidInput if none comes in 50 years."""
    slot = _next(schedule.cron, schedule.timezone, after)
    if slot is None:
        raise InvalidInput("schedule.cron", rules.CRON_NEVER)
    return slot


def latest_slot(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """Return the newest slot after one moment and not after another."""
    slot = _latest(schedule.cron, schedule.timezone, until)
    return slot if slot is not None and slot > after else None


def slots(schedule: Schedule, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """Yield the slots after one moment and not after another, in their order."""
    for slot in _slots(schedule.cron, zone_of(schedule.timezone), after):
        if until is not None and slot > until:
            return
        yield slot


def delay_s(schedule: Schedule, host: str, plan_delay_s: float) -> float:
    """Return how long after a slot a host begins: its plan's delay, and always the same jitter."""
    seed = f"{host}\0{schedule.cron}\0{schedule.timezone}".encode()
    drawn = int.from_bytes(hashlib.sha256(seed).digest()[:8]) / _HASHED
    return plan_delay_s + schedule.jitter_s * drawn


def _check_cron(cron: str) -> None:
    if len(cron.split()) != _FIELDS:
        raise InvalidInput("schedule.cron", rules.CRON)
    try:
        CronSim(cron, _SAMPLED_FROM)
    except CronSimError:
        never = _is_valid_for_longer_months(cron)
        raise InvalidInput("schedule.cron", rules.CRON_NEVER if never else rules.CRON) from None


def _is_valid_for_longer_months(cron: str) -> bool:
    """Whether a refused expression would be valid, were its months longer."""
    minute, hour, day, month, weekday = cron.split()
    try:
        CronSim(f"{minute} {hour} * {month} {weekday}", _SAMPLED_FROM)
        CronSim(f"{minute} {hour} {day} * {weekday}", _SAMPLED_FROM)
    except CronSimError:
        return False
    return True


@lru_cache(maxsize=1024)
def _next(cron: str, timezone: str, after: datetime) -> datetime | None:
    return next(_slots(cron, zone_of(timezone), after), None)


def _slots(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    local, repeats, second_pass = repeated(after, zone)
    # In the first pass of repeated times the second one of those just over is still to come.
    start = local if second_pass else local - repeats
    for slot in _in_order(_moments(CronSim(cron, start), cron, zone)):
        if slot > after:
            after = slot
            yield slot


@lru_cache(maxsize=1024)
def _latest(cron: str, timezone: str, until: datetime) -> datetime | None:
    zone = zone_of(timezone)
    local, repeats, second_pass = repeated(until, zone)
    # In the second pass of repeated times the first one of those to come is over already.
    start = local + (repeats if second_pass else timedelta()) + _A_SECOND
    newest = None
    for moments in _moments(CronSim(cron, start, reverse=True), cron, zone):
        past = [moment for moment in moments if moment <= until]
        newest = max(past[-1:] + ([newest] if newest else []), default=None)
        if len(past) == len(moments):
            break
    return newest


def _moments(
    times: Iterator[datetime], cron: str, zone: ZoneInfo
) -> Iterator[tuple[datetime, ...]]:
    """Yield for each local time the moments at which it is due: one, or two of the same time."""
    certain = _is_of_certain_times(cron)
    for time in times:
        moments = moments_of(time, zone)
        if certain:
            yield moments[:1] or (moment_after_gap(time, zone),)
        elif moments:
            yield moments


def _in_order(moments: Iterator[tuple[datetime, ...]]) -> Iterator[datetime]:
    second_passes: deque[datetime] = deque()
    for first, *second in moments:
        while second_passes and second_passes[0] <= first:
            yield second_passes.popleft()
        yield first
        second_passes.extend(second)
    yield from second_passes


def _is_of_certain_times(cron: str) -> bool:
    minute, hour, *_ = cron.split()
    return not minute.startswith("*") and not hour.startswith("*")
