"""Simulate all workers and samplers of a fleet, in one process and over few connections.

Each host sends heartbeats, samples and inventories at a worker's intervals, spread over time, and
now and then a change of an instance, whose description says when it was published. Calls of all
hosts come from one queue: as with real workers, gateways find it when they start. No host has ever
carried out an operation.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import aiormq
import msgspec
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from benchmarks.apart import handle_commands
from benchmarks.fleet import host_reports as reports
from deploy.local import broker as nodes
from shared.contracts.codec import encode, to_wire
from shared.contracts.events import NAMES, SAMPLER, Event, InstanceChanged, Sampled
from shared.contracts.worker_api import OperationPage, SnapshotList
from shared.platform.bus import topology

# The rest of a changed instance's description is when it was published, of the monotonic clock.
PUBLISHED = "published at "
CONNECTIONS = 4
# What is due within so long is published at once.
TICK_S = 0.005

# Commands: fall silent, report again, send a `Status`. A float is how many changes a second there
# are from now on.
SILENCE, SPEAK, STATUS = "silence", "speak", "status"


@dataclass(frozen=True, slots=True)
class FleetSize:
    """The simulated fleet; `changes_per_s` is of all instances together."""

    hosts: int
    instances: int
    changes_per_s: float
    heartbeat_s: float = reports.HEARTBEAT_S
    sample_s: float = reports.SAMPLE_S
    inventory_s: float = reports.INVENTORY_S


@dataclass(frozen=True, slots=True)
class Status:
    """How many changes were published, and how late the latest message was since last asked."""

    changes: int
    late_s: float


@dataclass(slots=True)
class SimulatedHost:
    """One host: its number, its exchange and how far it has counted."""

    number: int
    exchange: str
    channel: AbstractChannel
    sequence: int = 0
    samples: int = 0
    changes: dict[int, reports.Change] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The host's id."""
        return reports.host_id(self.number)

    async def publish(self, event: Event) -> None:
        """Publish an event."""
        await self.send(topology.event_key(self.id, event), encode(event))

    async def send(self, key: str, body: bytes, **properties: Any) -> None:
        """Send a message as workers do, without waiting for the broker."""
        await self.channel.basic_publish(
            body,
            exchange=self.exchange,
            routing_key=key,
            properties=Basic.Properties(
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=1,
                **properties,
            ),
        )

    def next_sequence(self) -> int:
        """Return the number of the next event."""
        self.sequence += 1
        return self.sequence


Report = Callable[[SimulatedHost], Awaitable[None]]


class Simulator:
    """All hosts; `hosts` are those that are connected."""

    def __init__(self, size: FleetSize) -> None:
        self._size = size
        self._templates = reports.SampleTemplates(size.instances, size.sample_s)
        self._sample_key = f"{{}}.{SAMPLER}.{NAMES[Sampled]}"
        self._rng = random.Random(7)  # noqa: S311 - instances, not secrets
        self.hosts: list[SimulatedHost] = []
        self._loops: dict[Report, asyncio.Task[None]] = {}
        self._changes_per_s = size.changes_per_s
        self._changes = 0
        self._late_s = 0.0

    async def connect(self, uri: str) -> None:
        """Declare what hosts need, connect, and take calls."""
        numbers = range(self._size.hosts)
        # Any secret word would do for the names.
        exchanges = [topology.host_exchange(reports.host_id(number), uri) for number in numbers]
        await asyncio.to_thread(topology.declare, uri, exchanges)
        connections = [await aiormq.connect(uri) for _ in range(CONNECTIONS)]
        channels = [await each.channel(publisher_confirms=False) for each in connections]
        self.hosts = [
            SimulatedHost(number, exchange, channels[number % CONNECTIONS])
            for number, exchange in zip(numbers, exchanges, strict=True)
        ]
        channel = await connections[0].channel()
        queue = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.queue_bind(queue, topology.CALLS.name, topology.call_key("*", "*"))
        await channel.basic_consume(queue, self._on_call, no_ack=True)

    def handle(self, commands: Connection, command: object) -> None:
        """Execute a command; raise what a report has failed with."""
        for loop in self._loops.values():
            if loop.done():
                loop.result()
        if command == STATUS:
            commands.send(Status(self._changes, self._late_s))
            self._late_s = 0.0
            return
        if isinstance(command, float):
            self._changes_per_s = command
        if command != SPEAK:
            self._stop(everything=command == SILENCE)
        if command != SILENCE:
            self.speak()

    def speak(self) -> None:
        """Report for ever what is not reported yet."""
        size, hosts = self._size, self._size.hosts
        paces: dict[Report, float] = {
            self._beat: hosts / size.heartbeat_s,
            self._sample: hosts / size.sample_s,
            self._report_inventory: hosts / size.inventory_s,
            self._change_any: self._changes_per_s,
        }
        for report, per_s in paces.items():
            if per_s and report not in self._loops:
                self._loops[report] = asyncio.create_task(self._keep_pace(per_s, report))

    def _stop(self, *, everything: bool) -> None:
        """Stop changes, or all reports."""
        for report in list(self._loops):
            if everything or report == self._change_any:
                self._loops.pop(report).cancel()

    async def _keep_pace(self, per_s: float, report: Report) -> None:
        """Have one host after the other report, so many a second."""
        began = time.monotonic()
        for count, host in enumerate(itertools.cycle(self.hosts)):
            early_s = began + count / per_s - time.monotonic()
            if early_s > 0:
                await asyncio.sleep(max(early_s, TICK_S))
            else:
                self._late_s = max(self._late_s, -early_s)
            await report(host)

    async def _beat(self, host: SimulatedHost) -> None:
        await host.publish(
            reports.heartbeat(host.number, host.sequence, time.time(), self._size.heartbeat_s)
        )

    async def _sample(self, host: SimulatedHost) -> None:
        host.samples += 1
        body = self._templates.sample(host.number, host.samples, _now())
        await host.send(self._sample_key.format(host.id), body)

    async def _report_inventory(self, host: SimulatedHost) -> None:
        await host.publish(
            reports.inventory(
                host.number, self._size.instances, host.changes, host.next_sequence(), _now()
            )
        )

    async def _change_any(self, _: SimulatedHost) -> None:
        host = self._rng.choice(self.hosts)
        number = self._rng.randrange(self._size.instances)
        before = host.changes.get(number)
        text = f"{PUBLISHED}{time.monotonic():.6f}"
        change = reports.Change(before.revision + 1 if before else 2, text)
        host.changes[number] = change
        self._changes += 1
        await host.publish(
            InstanceChanged(
                epoch=reports.EPOCH,
                sequence=host.next_sequence(),
                at=_now(),
                action="instance-updated",
                instance=reports.instance(host.number, number, change),
            )
        )

    async def _on_call(self, message: DeliveredMessage) -> None:
        _, host_id, method = (message.routing_key or "").split(".")
        host = self.hosts[int(host_id[1:])]
        if method == "publish_inventory":
            await self._report_inventory(host)
            await host.publish(reports.description(_now()))
        properties = message.header.properties
        await host.send(
            properties.reply_to or "",
            json.dumps(_answer(method)).encode(),
            correlation_id=properties.correlation_id,
        )


def _answer(method: str) -> dict[str, object]:
    results: dict[str, msgspec.Struct | None] = {
        "publish_inventory": None,
        "resolve": None,
        "operations_since": OperationPage(operations=[]),
        "snapshots": SnapshotList(snapshots=[]),
    }
    if method not in results:
        error = {"exc_type": "MethodNotFound", "exc_args": [method], "value": method}
        return {"result": None, "error": error}
    result = results[method]
    return {"result": result and to_wire(result), "error": None}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


async def serve(uri: str, size: FleetSize, commands: Connection) -> None:
    """Simulate a fleet until the last command, on the broker's CPUs: the hosts are far away."""
    os.sched_setaffinity(0, nodes.cpus())
    simulator = Simulator(size)
    await simulator.connect(uri)
    simulator.speak()
    commands.send(len(simulator.hosts))
    await handle_commands(commands, lambda command: simulator.handle(commands, command))
