"""Measure one gateway under one fleet, phase after phase.

Nothing here waits without a bound: what a gateway that has collapsed does not answer counts as the
time-out, and the next phase follows.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.apart import RunningServer, run_apart
from benchmarks.costs import measure_cpu, resident_mb
from benchmarks.figures import centile
from benchmarks.fleet import goals, host_reports
from benchmarks.fleet.gateway_process import GatewayProcess
from benchmarks.fleet.goals import Measured
from benchmarks.fleet.http_client import (
    NO_ANSWER,
    Durations,
    HttpClient,
    probe,
    time_by_turns,
)
from benchmarks.fleet.simulator import SILENCE, SPEAK, STATUS, FleetSize, Status, serve
from benchmarks.fleet.stream_clients import StreamClient, stream_clients
from benchmarks.scale import FleetScale
from tests.support.broker import Broker, fresh_vhost
from tests.support.polling import NotInTime, eventually

VMS = "/api/v1/vms"
HEALTH = "/api/health"
TIMEOUT_S = 10.0
SCRAPE_TIMEOUT_S = 60.0
# Whatever is waited for takes so long at most.
MOST_S = 120.0
POLL_S = 0.1
# A change that has not come by then, counted from the last one's publication, is lost.
LATE_S = 60.0
# For so long all hosts must be online to count as back.
STEADY_S = 3.0

Results = dict[str, Measured]


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway, the simulator of its hosts, and the broker between them."""

    size: FleetSize
    scale: FleetScale
    gateway: GatewayProcess
    simulator: RunningServer
    broker: psutil.Process

    @property
    def instances(self) -> int:
        """All instances of the fleet."""
        return self.size.hosts * self.size.instances

    async def status(self) -> Status:
        """Return what the simulator has done."""
        self.simulator.commands.send(STATUS)
        status: Status = await asyncio.to_thread(self.simulator.commands.recv)
        return status


@asynccontextmanager
async def site(broker: Broker, hosts: int, scale: FleetScale) -> AsyncIterator[Site]:
    """Start the simulator, and the gateway, which is not ready yet."""
    size = FleetSize(
        hosts,
        scale.instances,
        hosts * scale.instances * scale.changed_share / 60,
        heartbeat_s=scale.heartbeat_s,
        sample_s=scale.sample_s,
    )
    async with AsyncExitStack() as stack:
        vhost = stack.enter_context(fresh_vhost(broker))
        simulator = await stack.enter_async_context(run_apart(partial(serve, vhost.uri, size)))
        directory = Path(stack.enter_context(TemporaryDirectory()))
        gateway = GatewayProcess(vhost.uri, directory)
        gateway.start()
        stack.callback(gateway.kill)
        yield Site(size, scale, gateway, simulator, psutil.Process(broker.node.pid))


async def first_start(place: Site) -> Results:
    """Wait for all hosts to be discovered, and their instances to be listed."""
    took_s, listed = await _until(place, _listed, place.instances)
    return {goals.FIRST_START: Measured((took_s,), _shortage(listed, place.instances))}


async def quiet(place: Site) -> Results:
    """Measure what hosts' reports cost while nobody asks for anything."""
    await asyncio.sleep(place.scale.window_s / 3)
    await place.status()
    with (
        measure_cpu(place.gateway.process) as gateway,
        measure_cpu(place.simulator.process) as simulator,
        measure_cpu(place.broker) as broker,
    ):
        await asyncio.sleep(place.scale.window_s)
    status = await place.status()
    return {
        goals.CPU: Measured((gateway.percent,)),
        goals.MEMORY: Measured((resident_mb(place.gateway.process),)),
        goals.SIMULATOR_CPU: Measured((simulator.percent,)),
        goals.BROKER_CPU: Measured((broker.percent,)),
        goals.SENT_LATE: Measured((1000 * status.late_s,)),
    }


async def reading(place: Site) -> Results:
    """Measure all reads by turns, and the longest blockage meanwhile."""
    port, reads = place.gateway.port, _reads(place)
    with probe(port, TIMEOUT_S) as blocked:
        durations = await asyncio.to_thread(
            time_by_turns, port, reads, place.scale.rounds, timeout_s=TIMEOUT_S, most_s=MOST_S
        )
    results = {name: _measured(each) for name, each in durations.items()}
    return results | {goals.BLOCKED_READING: Measured((blocked.longest,), _missing(blocked))}


async def streaming(place: Site) -> Results:
    """Measure how long a change takes to the clients of the stream."""
    scale, commands = place.scale, place.simulator.commands
    commands.send(max(place.size.changes_per_s, scale.streamed_per_s))
    async with stream_clients(scale.clients, place.gateway.port, MOST_S) as clients:
        since = time.monotonic()
        for client in clients:
            client.restart(since)
        before = await place.status()
        with measure_cpu(place.gateway.process) as cpu:
            await asyncio.sleep(scale.window_s)
        commands.send(0.0)
        published = (await place.status()).changes - before.changes
        await _settle(clients, published)
        latencies = [each for client in clients for each in client.latencies_ms]
    commands.send(place.size.changes_per_s)
    due = published * len(clients)
    lost = 100 * max(0.0, 1 - len(latencies) / due) if due else 100.0
    who = f"{len(clients)} of {scale.clients} clients"
    took = (centile(latencies, 50), centile(latencies, 99)) if latencies else (1000 * MOST_S,) * 2
    return {
        goals.STREAM: Measured(took, who),
        goals.STREAM_LOST: Measured((lost,), f"of {published}"),
        goals.STREAM_CPU: Measured((cpu.percent,)),
    }


async def scraping(place: Site) -> Results:
    """Measure scrapes of one host and of all, and the longest blockage meanwhile."""
    port, one, every = place.gateway.port, Durations(), Durations()

    def scrape() -> None:
        with HttpClient(port, SCRAPE_TIMEOUT_S) as client:
            for _ in range(place.scale.scrapes):
                client.time(f"/metrics/hosts/{host_reports.host_id(0)}", one)
                client.time("/metrics", every)

    with probe(port, TIMEOUT_S) as blocked:
        await asyncio.to_thread(scrape)
    return {
        goals.SCRAPE_HOST: Measured((centile(one.ms, 50),), _missing(one)),
        goals.SCRAPE_ALL: Measured((centile(every.ms, 50),), _missing(every)),
        goals.BLOCKED_SCRAPE: Measured((blocked.longest,), _missing(blocked)),
    }


async def silence(place: Site) -> Results:
    """Let all hosts fall silent and come back; measure until when all are online again."""
    with probe(place.gateway.port, TIMEOUT_S) as blocked:
        place.simulator.commands.send(SILENCE)
        await asyncio.sleep(place.scale.silent_intervals * place.size.heartbeat_s)
        online = await asyncio.to_thread(_try, _online, place.gateway.port)
        place.simulator.commands.send(SPEAK)
        took_s, back = await _until(place, _online, place.size.hosts, steady_s=STEADY_S)
    return {
        goals.OFFLINE: Measured((place.size.hosts if online is None else online,)),
        goals.BACK: Measured((took_s,), _shortage(back, place.size.hosts)),
        goals.BLOCKED_BACK: Measured((blocked.longest,), _missing(blocked)),
    }


async def restart(place: Site) -> Results:
    """Restart the gateway; measure until all is listed, and until all hosts are online."""
    await asyncio.to_thread(place.gateway.stop)
    began = time.monotonic()
    place.gateway.start()
    _, listed = await _until(place, _listed, place.instances)
    listed_s = time.monotonic() - began
    _, online = await _until(place, _online, place.size.hosts, steady_s=STEADY_S)
    online_s = time.monotonic() - began - STEADY_S
    return {
        goals.LISTED: Measured((listed_s,), _shortage(listed, place.instances)),
        goals.ONLINE: Measured((online_s,), _shortage(online, place.size.hosts)),
        goals.LOST: Measured((place.gateway.lost_connections,)),
    }


Phase = Callable[[Site], Awaitable[Results]]
PHASES: tuple[Phase, ...] = (
    first_start,
    quiet,
    reading,
    streaming,
    scraping,
    silence,
    restart,
)


def _reads(place: Site) -> list[tuple[str, str, int]]:
    """Return what is read: its name, a path and the status of the answer."""
    rng = random.Random(7)  # noqa: S311 - instances, not secrets
    host, number = rng.randrange(place.size.hosts), rng.randrange(place.size.instances)
    name, uuid = (
        made(host, number) for made in (host_reports.instance_name, host_reports.instance_uuid)
    )
    nobody = host_reports.instance_uuid(place.size.hosts, 0)
    return [
        *_pages(goals.PAGE_10, 10, place.instances),
        *_pages(goals.PAGE_100, 100, place.instances),
        (goals.SEARCH, f"{VMS}?search={name}", 200),
        (goals.STATUS, f"{VMS}?status=stopped", 200),
        (goals.LABEL, f"{VMS}?label={host_reports.label(number)}", 200),
        (goals.HOST, f"{VMS}?host={host_reports.host_id(host)}", 200),
        (goals.BY_ID, f"{VMS}/vm-{uuid}", 200),
        (goals.BY_NAME, f"{VMS}/{name}", 200),
        (goals.UNKNOWN, f"{VMS}/vm-{nobody}", 404),
        (goals.HEALTH, HEALTH, 200),
    ]


def _pages(name: str, limit: int, instances: int) -> list[tuple[str, str, int]]:
    last = -(-instances // limit)
    numbers = (1, (last + 1) // 2, last)
    return [
        (f"{name}, {place}", f"{VMS}?limit={limit}&page={number}", 200)
        for place, number in zip(goals.PLACES, numbers, strict=True)
    ]


def _listed(client: HttpClient) -> int:
    """Return how many instances are listed."""
    return int(client.get_json(f"{VMS}?limit=1")["data"]["pagination"]["total"])


def _online(client: HttpClient) -> int:
    """Return how many hosts are online."""
    hosts: list[dict[str, Any]] = client.get_json(HEALTH)["hosts"]
    return sum(host["online"] for host in hosts)


def _try(count: Callable[[HttpClient], int], port: int) -> int | None:
    """Return a count; None: there is no answer."""
    with HttpClient(port, TIMEOUT_S) as client:
        try:
            return count(client)
        except NO_ANSWER:
            return None


async def _settle(clients: list[StreamClient], changes: int) -> None:
    """Wait until so many changes have come to every client, or for the longest time."""
    with suppress(NotInTime):
        await eventually(
            lambda: all(len(client.latencies_ms) >= changes for client in clients),
            within_s=LATE_S,
        )


async def _until(
    place: Site, count: Callable[[HttpClient], int], number: int, *, steady_s: float = 0.0
) -> tuple[float, int]:
    """Wait until so many are counted, and stay so many; return how long that took, and the count.

    The time does not include `steady_s`. If it takes too long, the count is the last one.
    """
    began = reached_at = time.monotonic()
    last = 0
    while (now := time.monotonic()) < began + MOST_S:
        counted = await asyncio.to_thread(_try, count, place.gateway.port)
        last = last if counted is None else counted
        if counted != number:
            reached_at = time.monotonic()
        elif now - reached_at >= steady_s:
            break
        await asyncio.sleep(POLL_S)
    return reached_at - began, last


def _measured(durations: Durations) -> Measured:
    return Measured(durations.p50_p99, _missing(durations))


def _missing(durations: Durations) -> str:
    return f"{durations.missing} of {len(durations.ms)} not answered" if durations.missing else ""


def _shortage(count: int, number: int) -> str:
    return "" if count == number else f"only {count} of {number}"
