"""Measure a scrape of 10,000 instances by Prometheus.

A gateway's app over a real fleet view, in a process of its own: 100 simulated hosts, each with 100
containers with all measurements, and a new sample of every host every 5 s. The baseline is the same
series through prometheus-client's objects.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection

import httpx
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from benchmarks.apart import run_apart, wait_for_end
from benchmarks.figures import Figure, at_most, centile, show, spread, timed
from benchmarks.scale import Scale, from_environment
from benchmarks.simulator import INSTANCES_PER_HOST, Simulator, app_over
from services.gateway.fleet.view import FleetView
from services.gateway.responses.metrics import subjects
from services.gateway.responses.prometheus_families import COUNTER, SECTIONS
from tests.support.gateway_http import listening


class Objects(Collector):
    """The same series as prometheus-client's objects."""

    def __init__(self, fleet: FleetView) -> None:
        # Only once, as on a slow machine samples would be too old later.
        some_at_a_time = subjects(fleet, fleet.host_ids())
        self._measured = [each for some in some_at_a_time for each in some.found]

    def collect(self) -> Iterable[Metric]:
        """Create an object for each series."""
        for section in SECTIONS:
            kinds = (
                CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
                for family in section.families
            )
            made = [
                kind(family.name, family.help, labels=("all",))
                for kind, family in zip(kinds, section.families, strict=True)
            ]
            for labels, values in section.rows(self._measured):
                for family, value in zip(made, values, strict=True):
                    if value is not None:
                        family.add_metric((labels,), value)
            yield from made


def figures(scale: Scale) -> Iterator[Figure]:
    """Measure the baseline, then a gateway in a process of its own."""
    simulator, rounds = Simulator(scale.scraped_hosts), scale.slow_rounds
    objects = Objects(simulator.fleet)
    baseline = timed(lambda: generate_latest(objects), max(2, rounds // 6))
    yield from asyncio.run(_scraped(scale.scraped_hosts, rounds, baseline))


async def _scraped(hosts: int, rounds: int, baseline: list[float]) -> list[Figure]:
    async with run_apart(partial(_serve, hosts)) as server:
        return await asyncio.to_thread(_figures_of, server.greeting, hosts, rounds, baseline)


def _figures_of(url: str, hosts: int, rounds: int, baseline: list[float]) -> list[Figure]:
    with httpx.Client(base_url=url, timeout=60) as client:
        text = client.get("/metrics").raise_for_status().text
        with _waits(url) as waited:
            took = timed(lambda: client.get("/metrics"), rounds)
        one = timed(lambda: client.get("/metrics/hosts/h000"), rounds)
    series = sum(1 for line in text.splitlines() if line.startswith("lxd_"))
    size = f"{series} series, {len(text) / 1e6:.0f} MB"
    number = hosts * INSTANCES_PER_HOST
    return [
        Figure(
            f"a scrape of {number} instances on {hosts} hosts: {size}",
            spread(took),
            f"prometheus-client's objects, not sent: p50 {centile(baseline, 50):.0f} ms",
            centile(took, 50),
            at_most(1000, "ms (p50)"),
        ),
        Figure("`GET /livez` meanwhile", spread(waited)),
        Figure("a scrape of one host of them", spread(one)),
    ]


@contextmanager
def _waits(url: str) -> Iterator[list[float]]:
    """Make a cheap request again and again; collect how long each answer took."""
    over, durations = threading.Event(), []

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            client.get("/livez")
            while True:
                began = time.perf_counter()
                client.get("/livez")
                durations.append(1000 * (time.perf_counter() - began))
                if over.wait(0.02):
                    return

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield durations
    finally:
        over.set()
        asking.join()


async def _serve(hosts: int, commands: Connection) -> None:
    simulator = Simulator(hosts)
    reporting = asyncio.create_task(simulator.report())
    async with listening(app_over(simulator.fleet)) as port:
        commands.send(f"http://127.0.0.1:{port}")
        await wait_for_end(commands)
    reporting.cancel()


if __name__ == "__main__":
    show(figures(from_environment()))
