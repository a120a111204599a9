"""The units of the instances API: MiB, GiB, percent, and local times without a zone.

The document says "MB" and means MiB (10240 is 10 GiB). Its times have no zone; browsers read such a
time as local, so it is the gateway's local time, with a second field in UTC.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

MIB = 2**20
MILLION = 10**6
GIB = 2**30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Every time zone can represent what lies between these: none is a day from UTC.
LATEST = datetime(9998, 12, 31, tzinfo=UTC)
# A century in seconds: no age is greater.
LONGEST_AGE_S = 100 * 366 * 86_400


def mib(size: int | None) -> int:
    """Return bytes as whole MiB; 0 for unknown."""
    return round((size or 0) / MIB)


def gib(size: int) -> int:
    """Return bytes as whole GiB."""
    return round(size / GIB)


def gib_exactly(size: int) -> int | float:
    """Return bytes as GiB: an integer if exact, else with two decimals."""
    rounded = round(size / GIB, 2)
    return int(rounded) if rounded.is_integer() else rounded


def millions(number: int | None) -> int | float | None:
    """Return a number in millions: an integer if exact, else with three decimals."""
    if number is None:
        return None
    rounded = round(number / MILLION, 3)
    return int(rounded) if rounded.is_integer() else rounded


def share(part: float, whole: float) -> float:
    """Return `part` as a percentage of `whole`; 0 if `whole` is 0."""
    return percent(100 * part / whole) if whole else 0.0


def percent(value: float | None) -> float:
    """Return a percentage within 0-100, with one decimal; 0 for unknown."""
    return round(min(100.0, max(0.0, value or 0.0)), 1)


def parse_time(text: str) -> datetime | None:
    """Parse an RFC 3339 time to UTC; None: it is invalid or out of range.

    LXD writes year 1 for "never", and accepts any year from an imported backup.
    """
    try:
        moment = datetime.fromisoformat(text)
        in_utc = moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return in_utc if in_utc and EPOCH <= in_utc <= LATEST else None


def parse_time_or_epoch(text: str) -> datetime:
    """Parse an RFC 3339 time to UTC; the epoch if it is invalid or out of range."""
    return parse_time(text) or EPOCH


def moment(unix_s: float) -> datetime:
    """Return a Unix time as a time in UTC; the epoch if it is out of range."""
    in_range = EPOCH.timestamp() <= unix_s <= LATEST.timestamp()
    return datetime.fromtimestamp(unix_s, UTC) if in_range else EPOCH


def age(seconds: float) -> float:
    """Return an age within 0 and a century, so that it can be subtracted from a time."""
    return 0.0 if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_AGE_S)


def local_text(moment: datetime, zone: tzinfo | None = None) -> str:
    """Return a time as text without a zone, in `zone` (None: the gateway's own)."""
    # Faster than `astimezone(None)`.
    local = moment.astimezone(zone) if zone else datetime.fromtimestamp(moment.timestamp())
    return local.replace(tzinfo=None).isoformat(timespec="seconds")


def utc_text(moment: datetime) -> str:
    """Return a time in UTC with `Z`, to the second."""
    return local_text(moment, UTC) + "Z"
