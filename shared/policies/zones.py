"""IANA time zones, and the moments that a local time stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.contracts.errors import InvalidInput
from shared.policies import rules

_A_MINUTE = timedelta(minutes=1)
# Zones that are not of the world but of a machine, or count leap seconds.
_OTHERS = ("posix/", "right/", "localtime", "posixrules", "Factory")


@lru_cache(maxsize=1024)
def zone_of(timezone: str) -> ZoneInfo:
    """Return a time zone; raises InvalidInput if this machine knows none of that name."""
    try:
        if timezone.startswith(_OTHERS):
            raise KeyError(timezone)
        return ZoneInfo(timezone)
    except (LookupError, ValueError, OSError):
        raise InvalidInput("schedule.timezone", rules.TIMEZONE) from None


def moments_of(local: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return the moments at which clocks in the zone show a naive time: none, one or two of them.

    In UTC, in their order. Two: the clocks were put back over it; none: forward.
    """
    first, second = _offsets(local, zone)
    if first == second:
        return ((local - first).replace(tzinfo=UTC),)
    if first < second:
        return ()
    return (local - first).replace(tzinfo=UTC), (local - second).replace(tzinfo=UTC)


def moment_after_gap(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment after a time, to the minute, that clocks in the zone show."""
    while not (moments := moments_of(local, zone)):
        local += _A_MINUTE
    return moments[0]


def repeated(moment: datetime, zone: ZoneInfo) -> tuple[datetime, timedelta, int]:
    """Return the naive local time of a moment, by how much it repeats, and in which pass (0, 1).

    A time that is there once repeats by nothing, in pass 0.
    """
    aware = moment.astimezone(zone)
    local = aware.replace(tzinfo=None, fold=0)
    first, second = _offsets(local, zone)
    return local, max(first - second, timedelta()), aware.fold


def _offsets(local: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    first = local.replace(tzinfo=zone).utcoffset()
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    return first or timedelta(), second or timedelta()
