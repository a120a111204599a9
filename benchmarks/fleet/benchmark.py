"""Measure fleets of several sizes, and print all of it in one table.

The gateway runs where the machine puts it, the broker and the simulator on the broker's half of the
CPUs. Each figure stands beside what it must be at 1,000 hosts of 100 instances.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from math import inf

import psutil

from benchmarks.figures import Figure
from benchmarks.fleet.goals import GOALS, Goal, Measured, text_of
from benchmarks.fleet.phases import PHASES, Results, Site, site
from benchmarks.scale import FleetScale, Scale
from tests.support.broker import Broker, shared_broker

# What a phase ends with if the gateway's process has, or the simulator's.
_ENDED = (OSError, EOFError, psutil.Error)


def figures(scale: Scale) -> Iterator[Figure]:
    """Return the figures of the largest fleet beside those of the smallest."""
    measured = measure(scale.fleet)
    small, large = min(measured), max(measured)
    for what, goal in GOALS.items():
        now, before = measured[large].get(what), measured[small].get(what)
        yield Figure(
            f"{what}, {large} hosts x {scale.fleet.instances}",
            _text(now, goal.unit),
            f"{small} hosts: {_text(before, goal.unit)}",
            goal.share(now.values) if now else inf,
            goal.target(),
        )


def measure(scale: FleetScale) -> dict[int, Results]:
    """Return the results for each number of hosts."""
    with shared_broker() as broker:
        return {hosts: asyncio.run(_results(broker, hosts, scale)) for hosts in scale.hosts}


def table(measured: Mapping[int, Results]) -> Iterator[str]:
    """Return the lines of a table with a column for each number of hosts, and how cost grows."""
    sizes = sorted(measured)
    columns = [f"{hosts} hosts" for hosts in sizes]
    yield f"| what | unit | must | aim | {' | '.join(columns)} | growth | verdict |"
    yield f"|---|---|---|---|{'---|' * len(columns)}---|---|"
    for what, goal in GOALS.items():
        row = [measured[hosts].get(what) for hosts in sizes]
        bounds = [goal.unit, text_of(goal.must), text_of(goal.aim)]
        texts = [_text(each) for each in row]
        verdict = goal.verdict(row[-1].values) if row[-1] else "missed"
        yield f"| {' | '.join([what, *bounds, *texts, _growth(goal, row), verdict])} |"


async def _results(broker: Broker, hosts: int, scale: FleetScale) -> Results:
    results: Results = {}
    async with site(broker, hosts, scale) as place:
        for phase in PHASES:
            _report_progress(place, phase.__name__)
            try:
                results |= await phase(place)
            except _ENDED as exc:
                _report_progress(place, f"{phase.__name__} ended: {exc!r}")
    return results


def _report_progress(place: Site, text: str) -> None:
    sys.stderr.write(f"{place.size.hosts} hosts: {text}\n")
    sys.stderr.flush()


def _growth(goal: Goal, row: list[Measured | None]) -> str:
    first, last = row[0], row[-1]
    if len(row) < 2 or not (first and last and first.values[0]):
        return ""
    bound = f" (<= {goal.growth:g})" if goal.growth else ""
    return f"{last.values[0] / first.values[0]:.1f} times{bound}"


def _text(measured: Measured | None, unit: str = "") -> str:
    if measured is None:
        return "not measured"
    more = f"({measured.more})" if measured.more else ""
    return " ".join(filter(None, [text_of(measured.values), unit, more]))
