"""The two clocks: monotonic time for durations, Unix time for the time of day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` measures ages and never jumps; `wall` is Unix time, to be stored or shown."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


def rfc3339(unix_s: float) -> str:
    """Return a Unix time as text with `Z`, to the millisecond, so that texts sort as times."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
