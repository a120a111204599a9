"""Measure a list of all instances: the fleet's, and pylxd's as the baseline.

The baseline is how a panel without a fleet view makes a list: `instances.all()`, then `state()` of
each instance, for its addresses. The fleet's is requested over HTTP: one call after another, by
many callers at once, and after the host's worker was killed, before and after the gateway notices.
Every answer must list all instances.

Caveat: the callers share the machine's cores with the gateway.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pylxd

from benchmarks.figures import Figure, at_least, at_most, centile, spread, timed
from benchmarks.ground import HOST, Ground, alone
from tests.support.lxd import Lxd
from tests.support.polling import wait_until

PATH = "/api/instances"
NOTICED_WITHIN_S = 30.0


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure one case after the other, and restore the fleet."""
    ask = _request(ground)
    slow = timed(_pylxd_request(ground.lxd), ground.scale.slow_rounds)
    quick = timed(ask, ground.scale.rounds)
    times = centile(slow, 50) / centile(quick, 50)
    yield Figure(
        f"`GET {PATH}`, {ground.scale.instances} instances",
        f"{spread(quick)}: {times:.0f} times faster",
        f"pylxd `all()`, `state()` of each: {spread(slow)}",
        times,
        at_least(200, "times faster"),
    )
    yield from _crowded(ground)
    yield from _absent(ground, ask)


def _crowded(ground: Ground) -> Iterator[Figure]:
    number = ground.scale.callers
    took, per_second = asyncio.run(_crowd(ground, 10 * ground.scale.rounds))
    slow, slow_per_second = _pylxd_crowd(ground.lxd, number)
    what = f"the same, {number} at a time"
    baseline = f"pylxd: {slow_per_second:.1f} per second"
    yield Figure(
        what, f"{per_second:.0f} per second", baseline, per_second, at_least(500, "per second")
    )
    p99_ms = centile(took, 99)
    baseline = f"pylxd: p99 {centile(slow, 99):.0f} ms"
    yield Figure(what, spread(took), baseline, p99_ms, at_most(100, "ms (p99)"))


def _absent(ground: Ground, ask: Callable[[], None]) -> Iterator[Figure]:
    worker, fleet = ground.fleet.processes[f"worker-{HOST}"], ground.fleet
    worker.kill()
    killed = timed(ask, ground.scale.rounds)
    yield Figure("the same one after another, the host's worker just killed", spread(killed))
    wait_until(lambda: not fleet.is_ready(), within_s=NOTICED_WITHIN_S)
    yield Figure("the same, the host known to be offline", spread(timed(ask, ground.scale.rounds)))
    worker.start()
    fleet.wait_until_ready()


def _request(ground: Ground) -> Callable[[], None]:
    def ask() -> None:
        instances = ground.fleet.http.get(PATH).raise_for_status().json()
        assert len(instances) == ground.scale.instances

    return ask


async def _crowd(ground: Ground, calls: int) -> tuple[list[float], float]:
    """Return the milliseconds of each call, and how many calls were answered per second."""
    took: list[float] = []
    left = iter(range(calls))

    async def keep_asking(session: aiohttp.ClientSession) -> None:
        for _ in left:
            began = time.perf_counter()
            async with session.get(PATH) as answer:
                body = await answer.read()
            took.append(1000 * (time.perf_counter() - began))
            assert answer.ok
        assert len(json.loads(body)) == ground.scale.instances

    async with aiohttp.ClientSession(ground.fleet.url) as session:
        began = time.perf_counter()
        await asyncio.gather(*[keep_asking(session) for _ in range(ground.scale.callers)])
    return took, calls / (time.perf_counter() - began)


def _pylxd_request(lxd: Lxd) -> Callable[[], None]:
    client: Any = pylxd.Client(endpoint=str(lxd.socket))

    def ask() -> None:
        for instance in client.instances.all():
            instance.state()

    return ask


def _pylxd_crowd(lxd: Lxd, callers: int) -> tuple[list[float], float]:
    """Return the same for pylxd; each caller has a client of its own and calls once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(timed, _pylxd_request(lxd), 1) for _ in range(callers)]
        took = [duration for each in futures for duration in each.result()]
    # `timed` makes another call first.
    return took, 2 * callers / (time.perf_counter() - began)


if __name__ == "__main__":
    alone(figures)
