"""The units of the instances API: MiB, GiB, percent, and local times without a zone.

The document says "MB" and means MiB (10240 is 10 GiB). Its times carry no zone; browsers read such
a time as local, so it is the gateway's local time, and each gets a twin in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

MIB = 2**20
GIB = 2**30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def mib(size: int | None) -> int:
    """Return bytes as whole MiB, 0 for what is not known."""
    return round((size or 0) / MIB)


def gib(size: int) -> int:
    """Return bytes as whole GiB."""
    return round(size / GIB)


def gib_exactly(size: int) -> int | float:
    """Return bytes as GiB: a whole number where it is one, else to two decimals."""
    rounded = round(size / GIB, 2)
    return int(rounded) if rounded.is_integer() else rounded


def share(part: float, whole: float) -> float:
    """Return what percentage `part` is of `whole`; 0 of nothing is 0."""
    return percent(100 * part / whole) if whole else 0.0


def percent(value: float | None) -> float:
    """Return a percentage within 0-100, to one decimal; 0 for what is not known."""
    return round(min(100.0, max(0.0, value or 0.0)), 1)


def instant(text: str) -> datetime:
    """Return the time that RFC 3339 text names; the epoch where it names none that can be shown."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return EPOCH
    # LXD writes year 1 for "never", which has no local time everywhere.
    return moment if moment.tzinfo is not None and moment.year >= EPOCH.year else EPOCH


def moment(unix_s: float) -> datetime:
    """Return a Unix time as a time in UTC."""
    return datetime.fromtimestamp(unix_s, UTC)


def local_text(moment: datetime, zone: tzinfo | None = None) -> str:
    """Return the document's form of a time, in `zone` (None: the gateway's own)."""
    return moment.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


def utc_text(moment: datetime) -> str:
    """Return a time in UTC with `Z`, to the second."""
    return local_text(moment, UTC) + "Z"
