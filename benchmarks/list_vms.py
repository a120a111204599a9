"""Measure a page of ten VMs out of 10,000.

A gateway's app over a real fleet view, in a process of its own: 100 simulated hosts, each with 100
containers, and a new sample of every host every 5 s, so that the fleet changes 20 times a second.
The baseline is the same page from the same app, rendering the whole list and then cutting it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import NamedTuple

import aiohttp
import msgspec
import psutil
from fastapi import FastAPI, Response

from benchmarks.apart import run_apart, wait_for_end
from benchmarks.costs import CpuUsage, measure_cpu
from benchmarks.figures import Figure, at_least, at_most, centile, show, spread
from benchmarks.scale import Scale, from_environment
from benchmarks.simulator import INSTANCES_PER_HOST, Simulator, app_over
from services.gateway.fleet.view import FleetView
from services.gateway.responses.vms import vm
from tests.support.gateway_http import listening

PAGE = 10
BASELINE = "/baseline"
VMS = "/api/v1/vms"


class Durations(NamedTuple):
    """How long each of many requests took, and the gateway's CPU for all of them."""

    durations_ms: list[float]
    cpu: CpuUsage

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return len(self.durations_ms) / self.cpu.wall_s

    def __str__(self) -> str:
        cpu_ms = self.cpu.cpu_ms / len(self.durations_ms)
        return f"{self.per_s:.0f} per second, CPU {cpu_ms:.1f} ms, {spread(self.durations_ms)}"


class Caller(NamedTuple):
    """Calls a gateway, and measures its process."""

    session: aiohttp.ClientSession
    process: psutil.Process

    async def ask(self, path: Callable[[], str], at_once: int, requests: int) -> Durations:
        """Send the requests, `at_once` at a time."""
        durations: list[float] = []

        async def ask_again_and_again() -> None:
            for _ in range(requests // at_once):
                began = time.perf_counter()
                async with self.session.get(path(), raise_for_status=True) as answer:
                    await answer.read()
                durations.append(1000 * (time.perf_counter() - began))

        with measure_cpu(self.process) as cpu:
            await asyncio.gather(*(ask_again_and_again() for _ in range(at_once)))
        return Durations(durations, cpu)


def figures(scale: Scale) -> Iterator[Figure]:
    """Measure a gateway in a process of its own."""
    yield from asyncio.run(_figures(scale))


async def _figures(scale: Scale) -> list[Figure]:
    async with (
        run_apart(partial(_serve, scale.scraped_hosts)) as server,
        aiohttp.ClientSession(server.greeting) as session,
    ):
        return await _figures_of(Caller(session, server.process), scale)


async def _figures_of(caller: Caller, scale: Scale) -> list[Figure]:
    number = scale.scraped_hosts * INSTANCES_PER_HOST
    # Random pages, because the gateway caches answers until the fleet changes.
    rng = random.Random(7)  # noqa: S311 - pages, not secrets

    def any_page() -> str:
        return f"{VMS}?page={rng.randint(1, number // PAGE)}"

    def any_search() -> str:
        return f"{VMS}?status=running&search=c00{rng.randint(10, 99)}"

    whole = await caller.ask(lambda: BASELINE, 1, scale.slow_rounds)
    one = await caller.ask(any_page, 1, scale.rounds)
    many = await caller.ask(any_page, scale.callers, 4 * scale.rounds)
    searches = await caller.ask(any_search, scale.callers, scale.rounds)
    rendered = f"rendered whole, then cut: p50 {centile(whole.durations_ms, 50):.0f} ms"
    return [
        Figure(
            f"a page of {PAGE} out of {number} VMs",
            spread(one.durations_ms),
            rendered,
            centile(one.durations_ms, 50),
            at_most(5, "ms (p50)"),
        ),
        Figure(
            f"pages, {scale.callers} callers at once",
            str(many),
            f"rendered whole, one at a time: {whole.per_s:.0f} per second",
            many.per_s,
            at_least(500, "per second"),
        ),
        Figure(f"searches, {scale.callers} callers at once", str(searches)),
    ]


async def _serve(hosts: int, commands: Connection) -> None:
    simulator = Simulator(hosts)
    reporting = asyncio.create_task(simulator.report())
    async with listening(_app(simulator.fleet)) as port:
        commands.send(f"http://127.0.0.1:{port}")
        await wait_for_end(commands)
    reporting.cancel()


def _app(fleet: FleetView) -> FastAPI:
    app = app_over(fleet)

    @app.get(BASELINE)
    async def baseline() -> Response:
        hosts = {view.host: view for view in fleet.hosts()}
        shown = [vm(view, hosts[view.host], secrets=True) for view in fleet.instances()]
        return Response(msgspec.json.encode(shown[:PAGE]), media_type="application/json")

    return app


if __name__ == "__main__":
    show(figures(from_environment()))
