"""Up to which slot a policy's runs are begun, whatever becomes of its schedule and of the clock."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from services.lxd_worker.policies.records import Cursor
from shared.contracts.bounds import A_DAY_S
from shared.contracts.policies import Schedule

# A slot that is recorded further ahead than this was recorded by a clock that was wrong, or is so.
MOST_AHEAD_S = 300.0
# A host begins at most so long after a slot, as a rule; so long a policy that left can come back.
LONGEST_AWAY_S = float(A_DAY_S)


def begins_now(schedule: Schedule, now: float) -> Cursor:
    """Return the cursor of a policy that is new: its first slot is the next one."""
    return Cursor(schedule=_times(schedule), slot=now)


def is_of(cursor: Cursor, schedule: Schedule) -> bool:
    """Whether a cursor is of the slots of a schedule; how long after them a host begins is not."""
    return cursor.schedule == _times(schedule)


def reached(cursor: Cursor) -> float:
    """Return up to where the runs are begun, by the clock as it is."""
    return cursor.slot if cursor.behind is None else cursor.behind


def after_slot(cursor: Cursor, slot: float) -> Cursor:
    """Return the cursor when the runs of a slot are recorded; see `PolicyStore.begin_runs`."""
    if slot >= cursor.slot:
        return replace(cursor, slot=slot, behind=None)
    behind = None if cursor.behind is None else max(cursor.behind, slot)
    return replace(cursor, behind=behind)


def by_clock(cursor: Cursor, now: float) -> Cursor:
    """Return the cursor for a clock that was set.

    While the clock is behind the last slot, it goes on from where the clock was put back to; what
    is begun then is forgotten when the clock has passed that slot again, and the slot is not.
    """
    if cursor.behind is not None and now >= cursor.slot:
        return replace(cursor, behind=None)
    return replace(cursor, behind=now) if reached(cursor) > now + MOST_AHEAD_S else cursor


def has_left(cursor: Cursor, now: float) -> Cursor:
    """Return the cursor of a policy that is not in the plan any more."""
    return cursor if cursor.left_at is not None else replace(cursor, left_at=now)


def is_remembered(cursor: Cursor, now: float) -> bool:
    """Whether the cursor of a policy that left may still be needed."""
    return cursor.left_at is not None and 0.0 <= now - cursor.left_at <= LONGEST_AWAY_S


def is_back(cursor: Cursor, now: float, delay_s: float) -> bool:
    """Whether a policy is in the plan that was away for less than a host waits after a slot.

    So a slot that was due is not lost when a policy is disabled and enabled, and a policy that was
    disabled for longer has nothing to catch up.
    """
    return cursor.left_at is None or 0.0 <= now - cursor.left_at <= delay_s


def _times(schedule: Schedule) -> str:
    return msgspec.json.encode([schedule.cron, schedule.timezone]).decode()
