"""A host on a real broker: a worker that speaks nameko's wire, with a journal in memory.

It uses nothing of the product but messages and names, so that it holds both sides to what is
written.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shared.contracts.codec import encode
from shared.contracts.errors import FleetError
from shared.contracts.events import Event, HostDescribed, OperationChanged
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation
from shared.platform.bus import topology
from tests.support.builders import a_heartbeat, an_inventory
from tests.support.workers import FakeWorkers

# Between two looks whether the queue of calls is there.
LOOK_S = 0.02


class WireHost:
    """One host.

    `description` is told with each inventory, as a worker does. `silent`: it takes calls and
    answers none. `forgets`: it loses submissions. `after`: it carries out what it accepts, and this
    is what the instance is like then.
    """

    def __init__(self, uri: str, host: str, *instances: Instance) -> None:
        self.host = host
        self.journal = FakeWorkers()
        self.instances = list(instances)
        self.description: HostDescribed | None = None
        self.silent = False
        self.forgets = False
        self.after: Instance | None = None
        self.calls: list[AbstractIncomingMessage] = []
        self._uri = uri
        self._sequence = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Take calls, and say that the host is here."""
        self._connection = await aio_pika.connect(self._uri)
        channel = await self._connection.channel()
        password = topology.password_of(self._uri)
        self._exchange = await channel.get_exchange(topology.host_exchange(self.host, password))
        queue = topology.calls_queue(self.host, password)
        await self.beat(calls_queue=queue)
        self._serving = asyncio.create_task(self._serve(queue))
        await self.publish_inventory()

    async def disconnect(self) -> None:
        """Be gone, as a worker that was killed is."""
        self._serving.cancel()
        await self._connection.close()

    async def _serve(self, name: str) -> None:
        """Take calls as soon as a gateway has made the queue."""
        for look in itertools.count(1):
            try:
                channel = await self._connection.channel()
                queue = await channel.get_queue(name)
                await queue.consume(self._take, no_ack=True, exclusive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                await asyncio.sleep(LOOK_S)
            else:
                return
            if not look % 10:
                await self.beat(calls_queue=name)

    async def beat(self, **more: Any) -> None:
        """Publish a heartbeat."""
        await self.publish("worker.heartbeat", a_heartbeat(sequence=self._sequence, **more))

    async def publish_inventory(self) -> None:
        """Publish all instances, and what there is for new ones."""
        await self.publish(
            "worker.inventory", an_inventory(*self.instances, sequence=self.next_sequence())
        )
        if self.description:
            await self.publish("worker.host", self.description)

    async def publish_operation(self, operation: Operation) -> None:
        """Publish an operation's record."""
        await self.publish("worker.operation", OperationChanged(operation=operation))

    async def publish(self, key: str, event: Event | bytes) -> None:
        """Publish an event, or anything else, under a key of this host."""
        body = event if isinstance(event, bytes) else encode(event)
        await self._exchange.publish(aio_pika.Message(body), f"{self.host}.{key}")

    def next_sequence(self) -> int:
        """Return the number of the next event."""
        self._sequence += 1
        return self._sequence

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.calls.append(message)
        method = str(message.routing_key).rpartition(".")[2]
        if self.forgets and method == "submit":
            return
        answer = await self._answer(method, json.loads(message.body)["args"])
        if not self.silent:
            await self._reply(message, answer)
        if self.after and method == "submit":
            await self._finish(self.journal.submissions[-1].operation_id)

    async def _answer(self, method: str, args: list[object]) -> dict[str, object]:
        if method == "publish_inventory":
            await self.publish_inventory()
        try:
            return {"result": await self.journal(self.host, method, args), "error": None}
        except FleetError as exc:
            error = {"exc_type": type(exc).__name__, "exc_args": exc.values, "value": str(exc)}
            return {"result": None, "error": error}

    async def _finish(self, operation_id: str) -> None:
        done = self.journal.finish(operation_id, after=self.after, after_epoch=1)
        await self.publish_operation(done)

    async def _reply(self, call: AbstractIncomingMessage, answer: dict[str, object]) -> None:
        message = aio_pika.Message(
            json.dumps(answer).encode(),
            content_type="application/json",
            correlation_id=call.correlation_id,
        )
        await self._exchange.publish(message, str(call.reply_to), mandatory=False)
