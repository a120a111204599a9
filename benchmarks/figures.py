"""The results of benchmarks: each figure beside its baseline and its target."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

HEADER = (
    "| what | target | measured | baseline | verdict |",
    "|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A target for a value, as text and as a predicate."""

    text: str
    is_met: Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table.

    `measured` and `baseline` are texts with units; `value` is compared with the target, if any.
    """

    what: str
    measured: str
    baseline: str = ""
    value: float = 0.0
    target: Target | None = None

    def __str__(self) -> str:
        target = self.target.text if self.target else ""
        return f"| {self.what} | {target} | {self.measured} | {self.baseline} | {self.verdict} |"

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or empty without a target."""
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.value) else "missed"


def at_most(limit: float, unit: str) -> Target:
    """Return an upper bound."""
    return Target(f"<= {limit:g} {unit}", lambda value: value <= limit)


def at_least(limit: float, unit: str) -> Target:
    """Return a lower bound."""
    return Target(f">= {limit:g} {unit}", lambda value: value >= limit)


def show(figures: Iterable[Figure]) -> None:
    """Print the machine and the table, each row as soon as it is measured."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs", end=", ")
    print(f"load {os.getloadavg()[0]:.1f}\n")
    for line in chain(HEADER, figures):
        print(line, flush=True)


def timed(work: Callable[[], object], rounds: int) -> list[float]:
    """Return the milliseconds of each round, after a first one that is not counted."""
    work()
    durations = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        durations.append(1000 * (time.perf_counter() - began))
    return durations


def centile(durations_ms: Sequence[float], which: int) -> float:
    """Return the 50th, 99th or another percentile."""
    return sorted(durations_ms)[len(durations_ms) * which // 100]


def spread(durations_ms: Sequence[float]) -> str:
    """Return the median and the 99th percentile as text."""
    return f"p50 {centile(durations_ms, 50):.1f} ms, p99 {centile(durations_ms, 99):.1f} ms"
