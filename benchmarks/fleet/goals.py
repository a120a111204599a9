"""What is measured of a fleet, and what each figure must be, and should be, at 1,000 x 100.

Issue 10 promises the figures; they hold for every smaller fleet as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from benchmarks.figures import Target


@dataclass(frozen=True, slots=True)
class Goal:
    """The upper bounds of one or more values: `must` is promised, `aim` is hoped for.

    `growth` bounds how many times the first value may be that of a fleet of a tenth.
    """

    unit: str
    must: tuple[float, ...] = ()
    aim: tuple[float, ...] = ()
    growth: float | None = None

    def share(self, values: tuple[float, ...]) -> float:
        """Return the worst of the values as a share of what it must be; 0: nothing is promised."""
        return _worst(values, self.must) if self.must else 0.0

    def verdict(self, values: tuple[float, ...]) -> str:
        """Return `missed`, `met`, or `aim` if that is reached too; empty: nothing is promised."""
        if not self.must:
            return ""
        if self.share(values) > 1:
            return "missed"
        return "aim" if self.aim and _worst(values, self.aim) <= 1 else "met"

    def target(self) -> Target | None:
        """Return what is promised, as a target for a `share`."""
        if not self.must:
            return None
        return Target(f"<= {text_of(self.must)} {self.unit}", lambda share: share <= 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: values in the goal's unit, and what else there is to say."""

    values: tuple[float, ...]
    more: str = ""


PERCENTILES = "ms (p50 / p99)"
_SLOWER, _DEARER = 1.5, 10.0
_CPU = Goal("% of a core", (60,), (35,), _DEARER)
_PAGE = Goal(PERCENTILES, (3, 30), (1.5, 10), _SLOWER)
_FILTER = Goal(PERCENTILES, (10, 50), (3, 20), _SLOWER)
_ONE = Goal(PERCENTILES, (2, inf), (1, inf), _SLOWER)
_BLOCKED = Goal("ms", (50,), (20,))

CPU, MEMORY = "CPU, while nobody asks", "resident memory"
SIMULATOR_CPU, BROKER_CPU = "CPU of the simulator", "CPU of the broker"
FIRST_START = "first start until all are listed"
SENT_LATE = "latest message of the simulator"
PAGE_10, PAGE_100 = "page of 10", "limit=100"
PLACES = ("first", "middle", "last")
SEARCH, STATUS, LABEL, HOST = "search", "filter by status", "filter by label", "filter by host"
BY_ID, BY_NAME, UNKNOWN = "one by id", "one by name", "one that is not there (404)"
HEALTH = "`GET /api/health`"
BLOCKED_READING = "longest blockage, while all that is read"
STREAM, STREAM_CPU = "change to `/ws/stream`", "CPU with the stream's clients"
STREAM_LOST = "changes that did not come"
SCRAPE_HOST, SCRAPE_ALL = "a scrape of one host", "a scrape of all"
BLOCKED_SCRAPE = "longest blockage meanwhile"
OFFLINE = "hosts that are silent, and not known to be"
BACK, BLOCKED_BACK = "all silent, then back: all online", "longest blockage from silence on"
LISTED, ONLINE = "restart until all are listed", "restart until all are online"
LOST = "connections to the broker lost"

GOALS: dict[str, Goal] = {
    FIRST_START: Goal("s"),
    CPU: _CPU,
    MEMORY: Goal("MB", (900,), (500,)),
    SIMULATOR_CPU: Goal("% of a core"),
    BROKER_CPU: Goal("% of a core"),
    SENT_LATE: Goal("ms"),
    **{f"{PAGE_10}, {place}": _PAGE for place in PLACES},
    **{f"{PAGE_100}, {place}": _PAGE for place in PLACES},
    **dict.fromkeys((SEARCH, STATUS, LABEL, HOST), _FILTER),
    **dict.fromkeys((BY_ID, BY_NAME, UNKNOWN), _ONE),
    HEALTH: Goal(PERCENTILES, growth=_SLOWER),
    BLOCKED_READING: _BLOCKED,
    STREAM: Goal(PERCENTILES, (20, 150), (8, 50)),
    STREAM_LOST: Goal("% lost"),
    STREAM_CPU: _CPU,
    SCRAPE_HOST: Goal("ms", (10,)),
    SCRAPE_ALL: Goal("ms", (4000,)),
    BLOCKED_SCRAPE: _BLOCKED,
    OFFLINE: Goal("hosts"),
    BACK: Goal("s", (10,), (4,)),
    BLOCKED_BACK: _BLOCKED,
    LISTED: Goal("s", (8,), (4,)),
    ONLINE: Goal("s"),
    LOST: Goal("lost", (0,)),
}


def text_of(values: tuple[float, ...]) -> str:
    """Return values as a text, each with three digits at least; infinite ones as `-`."""
    return " / ".join(map(_text, values))


def _text(value: float) -> str:
    if value == inf:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _worst(values: tuple[float, ...], bounds: tuple[float, ...]) -> float:
    return max(map(_share, values, bounds))


def _share(value: float, bound: float) -> float:
    if bound:
        return value / bound
    return inf if value else 0.0
