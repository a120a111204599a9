"""Measure how much a host that floods the broker disturbs its neighbours.

A gateway's process and two hosts on a real broker. One host reports a few containers, with a new
sample ten times a second; a client requests the list of instances again and again, and checks the
age of the newest sample in it. The other host is quiet at first, which is the baseline, and then
floods the broker, from a process of low priority, with one kind of message after the other.

Caveat: the broker, which receives the flood, has half of the machine's cores, and the flood shares
them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil

from benchmarks.costs import CpuUsage, measure_cpu, resident_mb
from benchmarks.figures import Figure, at_most, centile, show, spread
from benchmarks.scale import Scale, from_environment
from deploy.local import broker as nodes
from deploy.local import processes
from shared.contracts.samples import Address
from tests.support.broker import Broker, Vhost, fresh_vhost, shared_broker
from tests.support.builders import a_change, a_sample_message, an_instance
from tests.support.daemons import ROOT
from tests.support.flood import KINDS
from tests.support.host import WireHost
from tests.support.polling import eventually

FLOODS_S = 10.0
SAMPLED_EVERY_S = 0.1
CONTAINERS = 50
# A sample is identified by the address of its first container.
FIRST_MARK = int(ipaddress.IPv4Address("10.0.0.0"))
PATH = f"/api/instances?limit={CONTAINERS}"
# By how much a flood may raise the undisturbed median.
SLOWER = at_most(1.2, "times (p50)")
NONE_LOST = at_most(0, "lost")


@dataclass
class Neighbour:
    """The host that does not flood: what it has sent, and when."""

    host: WireHost
    sent_at: list[float] = field(default_factory=list)
    changes: int = 0

    async def report(self) -> None:
        """Send samples with different marks, and a change of an instance with each."""
        while True:
            number = len(self.sent_at)
            sample = a_sample_message(*self.host.instances, sequence=number + 1)
            address = str(ipaddress.IPv4Address(FIRST_MARK + number))
            mark = Address(device="eth0", family="inet", address=address, scope="global")
            marked = msgspec.structs.replace(sample.instances[0], addresses=[mark])
            instances = [marked, *sample.instances[1:]]
            sample = msgspec.structs.replace(sample, instances=instances)
            self.sent_at.append(time.perf_counter())
            await self.host.publish("sampler.sample.v2", sample)
            self.changes += 1
            changed = an_instance("c00", revision=10 + self.changes, description=f"{self.changes}")
            await self.host.publish(
                "worker.instance-changed", a_change(changed, sequence=self.host.next_sequence())
            )
            if not self.changes % 10:
                await self.host.beat()
            await asyncio.sleep(SAMPLED_EVERY_S)

    @property
    def inventory_requests(self) -> int:
        """How often the gateway has missed something, and so requested an inventory."""
        return sum(str(call.routing_key).endswith(".publish_inventory") for call in self.host.calls)


@dataclass
class ClientFigures:
    """What a client of the gateway measured over some seconds."""

    took_ms: list[float]
    ages_ms: list[float]
    lost: int
    cpu: CpuUsage
    flooded: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway, its client and two hosts."""

    session: aiohttp.ClientSession
    process: psutil.Process
    neighbour: Neighbour
    flooding: WireHost
    flooding_uri: str

    async def watch(self, seconds: float) -> ClientFigures:
        """Request the list until the time is over."""
        took, ages = [], []
        before = self.neighbour.inventory_requests
        end = time.perf_counter() + seconds
        with measure_cpu(self.process) as cpu:
            while (began := time.perf_counter()) < end:
                async with self.session.get(PATH, raise_for_status=True) as answer:
                    instances = await answer.json()
                ended = time.perf_counter()
                took.append(1000 * (ended - began))
                ages.append(1000 * (ended - self.neighbour.sent_at[_mark(instances[0])]))
                # Without a pause the client would only measure the scheduler.
                await asyncio.sleep(0.01)
        return ClientFigures(took, ages, await self._lost(before), cpu)

    async def watch_flood(self, kind: str, seconds: float) -> ClientFigures:
        """Request the list while the other host floods."""
        more = [self._reply_to()] if kind == "answers" else []
        command = ["-m", "tests.support.flood", self.flooding_uri, "h1", kind, str(seconds + 1)]
        flood = await asyncio.create_subprocess_exec(
            sys.executable, *command, *more, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        # It simulates another machine, so it must not take our CPUs.
        os.sched_setaffinity(flood.pid, nodes.cpus())
        await asyncio.sleep(1.0)
        figures = await self.watch(seconds)
        sent, _ = await flood.communicate()
        figures.flooded = int(sent)
        return figures

    def _reply_to(self) -> str:
        return str(self.flooding.calls[-1].reply_to)

    async def _lost(self, requests_before: int) -> int:
        """Return how many of the neighbour's events were lost, after waiting for the last one."""
        change = self.neighbour.changes
        await asyncio.sleep(2.0)
        async with self.session.get(PATH, raise_for_status=True) as answer:
            last_change = int((await answer.json())[0]["description"] or 0)
        missing = max(0, change - last_change)
        return missing + self.neighbour.inventory_requests - requests_before


def figures(scale: Scale) -> Iterator[Figure]:
    """Measure the quiet fleet, and the fleet under each kind of flood."""
    with shared_broker() as broker:
        yield from asyncio.run(_figures(broker, min(FLOODS_S, scale.watched_s)))


async def _figures(broker: Broker, seconds: float) -> list[Figure]:
    results = []
    for kind in KINDS:
        # A new virtual host for each, as it takes minutes to consume the rest of a flood.
        with fresh_vhost(broker) as vhost:
            async with _place(vhost) as place:
                await place.watch(1.0)
                quiet = await place.watch(seconds)
                results += _compare(kind, await place.watch_flood(kind, seconds), quiet, place)
    return results


def _compare(kind: str, flood: ClientFigures, quiet: ClientFigures, place: Place) -> list[Figure]:
    times = centile(flood.took_ms, 50) / centile(quiet.took_ms, 50)
    older = centile(flood.ages_ms, 50) / centile(quiet.ages_ms, 50)
    return [
        Figure(
            f"`GET {PATH}`, a neighbour floods with {kind}",
            f"{spread(flood.took_ms)}: {times:.2f} times",
            f"undisturbed: {spread(quiet.took_ms)}",
            times,
            SLOWER,
        ),
        Figure(
            "age of the newest sample",
            f"{spread(flood.ages_ms)}: {older:.2f} times",
            f"undisturbed: {spread(quiet.ages_ms)}",
            older,
            SLOWER,
        ),
        Figure(
            f"events of the neighbour's, {flood.flooded} flooded",
            f"{flood.lost} lost",
            f"undisturbed: {quiet.lost} lost",
            flood.lost,
            NONE_LOST,
        ),
        Figure(
            "the gateway",
            f"{flood.cpu.percent:.0f} % of a core, {resident_mb(place.process):.0f} MB",
            f"undisturbed: {quiet.cpu.percent:.0f} % of a core",
        ),
    ]


def _mark(instance: dict[str, Any]) -> int:
    """Return the number of the sample in an instance of the list."""
    return int(ipaddress.IPv4Address(instance["ipv4"])) - FIRST_MARK


@asynccontextmanager
async def _place(vhost: Vhost) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        port = processes.free_port()
        gateway = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway"),
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                "FLEET_AMQP_URI": vhost.uri,
                "FLEET_STATE_DIR": str(Path(directory)),
                "FLEET_HTTP_BIND": f"127.0.0.1:{port}",
            },
        )
        stack.push_async_callback(gateway.wait)
        stack.callback(gateway.kill)
        url = f"http://127.0.0.1:{port}"
        session = await stack.enter_async_context(aiohttp.ClientSession(url))
        await eventually(lambda: _is_healthy(session), within_s=30)
        uri = vhost.host_uri("h1")
        flooding = await stack.enter_async_context(WireHost(uri, "h1", an_instance("zz")))
        containers = [an_instance(f"c{number:02}") for number in range(CONTAINERS)]
        host = await stack.enter_async_context(WireHost(vhost.host_uri("h2"), "h2", *containers))
        await eventually(lambda: _lists(session, CONTAINERS), within_s=10)
        neighbour = Neighbour(host)
        reporting = asyncio.create_task(neighbour.report())
        stack.callback(reporting.cancel)
        await asyncio.sleep(1.0)
        yield Place(session, psutil.Process(gateway.pid), neighbour, flooding, uri)


async def _is_healthy(session: aiohttp.ClientSession) -> bool:
    with suppress(aiohttp.ClientError):
        async with session.get("/healthz") as answer:
            return answer.ok
    return False


async def _lists(session: aiohttp.ClientSession, number: int) -> bool:
    async with session.get("/api/instances") as answer:
        return answer.ok and len(await answer.json()) > number


if __name__ == "__main__":
    show(figures(from_environment()))
