"""What benchmarks find out: each figure beside its baseline and what it has to be."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

HEADER = (
    "| what | must | measured | baseline | verdict |",
    "|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Must:
    """What a value has to be, in words and as a rule."""

    text: str
    holds: Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table.

    `measured` and `baseline` are what was measured, with its unit; `value` is what of it is held
    against `must`. Without `must` it is only shown.
    """

    what: str
    measured: str
    baseline: str = ""
    value: float = 0.0
    must: Must | None = None

    def __str__(self) -> str:
        must = self.must.text if self.must else ""
        return f"| {self.what} | {must} | {self.measured} | {self.baseline} | {self.verdict} |"

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or nothing where nothing is demanded."""
        if self.must is None:
            return ""
        return "met" if self.must.holds(self.value) else "missed"


def at_most(limit: float, unit: str) -> Must:
    """Demand a value that is no larger."""
    return Must(f"<= {limit:g} {unit}", lambda value: value <= limit)


def at_least(limit: float, unit: str) -> Must:
    """Demand a value that is no smaller."""
    return Must(f">= {limit:g} {unit}", lambda value: value >= limit)


def show(figures: Iterable[Figure]) -> None:
    """Print the machine and the table, each line as soon as it is measured."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs", end=", ")
    print(f"load {os.getloadavg()[0]:.1f}\n")
    for line in chain(HEADER, figures):
        print(line, flush=True)


def timed(work: Callable[[], object], rounds: int) -> list[float]:
    """Return the milliseconds of each round, after one that is not counted."""
    work()
    durations = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        durations.append(1000 * (time.perf_counter() - began))
    return durations


def centile(durations_ms: Sequence[float], which: int) -> float:
    """Return the 50th, the 99th or another centile."""
    return sorted(durations_ms)[len(durations_ms) * which // 100]


def spread(durations_ms: Sequence[float]) -> str:
    """Return the median and the 99th centile as text."""
    return f"p50 {centile(durations_ms, 50):.1f} ms, p99 {centile(durations_ms, 99):.1f} ms"
