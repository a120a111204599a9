"""Which hosts are read, while some are found and others forgotten."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from services.gateway.bus.connection import Alarm
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.event_consumers import FIRST_FORM_S, RENAME_S, EventConsumers
from shared.contracts.codec import encode
from shared.contracts.events import Event
from shared.platform.bus import discovery, topology
from tests.support.builders import a_heartbeat
from tests.support.polling import eventually

Deliver = Callable[[DeliveredMessage], Awaitable[None]]


@dataclass
class FakeBroker:
    """A connection, also as it is shared; exchanges are declared once it is `free`."""

    free: asyncio.Event = field(default_factory=asyncio.Event)
    consumers: dict[str, tuple[str, Deliver]] = field(default_factory=dict)
    bindings: set[tuple[str, str]] = field(default_factory=set)

    async def get(self) -> Any:
        return self

    async def channel(self) -> Any:
        return FakeChannel(self)

    async def heartbeat_of(self, host: str, drawn: str = "first") -> None:
        """Deliver a heartbeat as all of them are; return when it was taken.

        `drawn` is the password of the host's user.
        """
        (discover,) = (
            deliver for queue, deliver in self.consumers.values() if queue.endswith("discovery")
        )
        delivery = commands.Basic.Deliver(
            delivery_tag=1,
            exchange=topology.host_exchange(host, drawn),
            routing_key=f"{host}.worker.heartbeat",
        )
        body = encode(a_heartbeat())
        message: Any = DeliveredMessage(delivery, ContentHeader(), body, FakeChannel(self))  # type: ignore[arg-type]
        await discover(message)

    def queues_of(self, host: str) -> list[str]:
        """Return the queues of a host that are consumed, one for each consumer."""
        return [queue for queue, _ in self.consumers.values() if f".{host}." in queue]


@dataclass
class FakeChannel:
    """A channel as aio-pika and as aiormq have it."""

    broker: FakeBroker
    tags: list[str] = field(default_factory=list)
    close_callbacks: set[object] = field(default_factory=set)
    on_consumer_cancel_callbacks: set[object] = field(default_factory=set)

    async def set_qos(self, *, prefetch_count: int) -> None:
        """Take any."""

    async def get_underlay_channel(self) -> Any:
        return self

    async def exchange_declare(self, *_: object, **__: object) -> None:
        await self.broker.free.wait()

    async def queue_declare(self, *_: object, **__: object) -> commands.Queue.DeclareOk:
        return commands.Queue.DeclareOk(message_count=0)

    async def queue_bind(self, queue: str, exchange: str, key: str) -> None:
        self.broker.bindings.add((queue.split(".")[-1 if "discovery" in queue else -2], key))

    async def queue_unbind(self, queue: str, exchange: str, key: str) -> None:
        self.broker.bindings.remove((queue.split(".")[-1 if "discovery" in queue else -2], key))

    async def basic_consume(self, queue: str, deliver: Deliver) -> commands.Basic.ConsumeOk:
        tag = secrets.token_hex()
        self.tags.append(tag)
        self.broker.consumers[tag] = queue, deliver
        return commands.Basic.ConsumeOk(consumer_tag=tag)

    async def basic_cancel(self, tag: str) -> None:
        del self.broker.consumers[tag]

    async def basic_ack(self, *_: object, **__: object) -> None:
        """Take any."""

    async def close(self) -> None:
        for tag in self.tags:
            self.broker.consumers.pop(tag, None)


@dataclass
class Desk:
    """What reads the messages of the hosts in `known`, and adds those that it finds.

    `known` has the names of their exchanges.
    """

    broker: FakeBroker = field(default_factory=FakeBroker)
    known: dict[str, str] = field(default_factory=dict)
    rename_s: float = RENAME_S
    first_form_s: float = FIRST_FORM_S

    async def open(self) -> EventConsumers:
        async def keep(operation: object) -> None:
            raise AssertionError

        letters = DeadLetters(Alarm(), lambda host: None)
        incoming = EventConsumers(
            "g1",
            self._find,
            lambda host, event: None,
            keep,
            lambda host, queue: None,
            lambda: self.known,
            letters,
            lambda host: None,
            self.broker,  # type: ignore[arg-type]
            rename_s=self.rename_s,
            first_form_s=self.first_form_s,
        )
        await incoming.connect(self.broker, lambda *_: None)  # type: ignore[arg-type]
        return incoming

    def _find(self, host: str, exchange: str, event: Event) -> None:
        self.known[host] = exchange


async def test_a_host_that_is_being_found_is_not_taken_for_a_forgotten_one() -> None:
    desk = Desk()
    incoming = await desk.open()
    finding = asyncio.create_task(desk.broker.heartbeat_of("h1"))
    await asyncio.sleep(0)

    await incoming.maintain()
    desk.broker.free.set()
    await finding
    await desk.broker.heartbeat_of("h1")

    assert list(desk.known) == ["h1"]
    await eventually(lambda: len(desk.broker.queues_of("h1")) == len({"events", "outcomes"}))


async def test_what_a_forgotten_host_publishes_is_read_no_more() -> None:
    desk = Desk(known={host: topology.host_exchange(host, "first") for host in ("h1", "h2")})
    desk.broker.free.set()
    incoming = await desk.open()

    del desk.known["h1"]
    await incoming.maintain()

    await eventually(lambda: len(desk.broker.queues_of("h2")) == len({"events", "outcomes"}))
    await eventually(lambda: desk.broker.queues_of("h1") == [])


async def test_a_host_whose_exchange_is_not_known_is_read_with_its_next_heartbeat() -> None:
    desk = Desk(known={"h1": ""})
    desk.broker.free.set()
    await desk.open()
    before = desk.broker.queues_of("h1")

    await desk.broker.heartbeat_of("h1")

    assert before == []
    await eventually(lambda: len(desk.broker.queues_of("h1")) == len({"events", "outcomes"}))
    assert desk.known["h1"] == topology.host_exchange("h1", "first")


async def test_a_host_with_another_password_is_read_through_its_other_exchange_only() -> None:
    desk = Desk(known={"h1": topology.host_exchange("h1", "first")}, rename_s=0.0)
    desk.broker.free.set()
    await desk.open()

    await desk.broker.heartbeat_of("h1", "second")
    await desk.broker.heartbeat_of("h1", "second")

    other = topology.host_exchange("h1", "second")
    assert desk.known["h1"] == other
    digest = other.rpartition(".")[2]
    await eventually(
        lambda: [queue.endswith(digest) for queue in desk.broker.queues_of("h1")] == [True, True]
    )


@pytest.mark.attack
async def test_who_writes_to_two_exchanges_has_queues_made_anew_now_and_then_only() -> None:
    first = topology.host_exchange("h1", "first")
    desk = Desk(known={"h1": first})
    desk.broker.free.set()
    await desk.open()
    await eventually(lambda: len(desk.broker.queues_of("h1")) == len({"events", "outcomes"}))
    before = desk.broker.queues_of("h1")

    for number in range(100):
        await desk.broker.heartbeat_of("h1", ("first", "second")[number % 2])

    assert desk.broker.queues_of("h1") == before
    assert desk.known["h1"] == first


async def test_a_host_without_samples_in_the_present_form_is_asked_for_the_first() -> None:
    desk = Desk(known={"h1": topology.host_exchange("h1", "first")}, first_form_s=0.0)
    desk.broker.free.set()
    incoming = await desk.open()
    before = ("h1", "h1.sampler.sample") in desk.broker.bindings

    await incoming.maintain()

    assert not before
    assert ("h1", "h1.sampler.sample") in desk.broker.bindings


async def test_a_host_whose_samples_come_in_the_present_form_is_asked_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(known={"h1": topology.host_exchange("h1", "first")}, first_form_s=0.0)
    desk.broker.free.set()
    incoming = await desk.open()
    await incoming.maintain()
    monkeypatch.setattr(incoming, "_first_form_s", 60.0)

    await incoming.maintain()

    assert {key for host, key in desk.broker.bindings if host == "h1"} >= {
        "h1.worker.*",
        "h1.sampler.sample.v2",
    }
    assert ("h1", "h1.sampler.sample") not in desk.broker.bindings


@pytest.mark.parametrize(
    ("hosts", "bound"),
    [
        pytest.param(3, True, id="a small fleet hears all heartbeats twice"),
        pytest.param(300, False, id="a large one now and then"),
    ],
)
async def test_new_hosts_are_looked_for(
    hosts: int, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "BOUND_S", 0.0)
    known = {f"h{number}": topology.host_exchange(f"h{number}", "first") for number in range(hosts)}
    desk = Desk(known=known)
    desk.broker.free.set()
    incoming = await desk.open()
    first = ("discovery", "#") in desk.broker.bindings

    await incoming.maintain()
    then = ("discovery", "#") in desk.broker.bindings
    monkeypatch.setattr(discovery, "PAUSE_PER_HOST_S", 0.0)
    await incoming.maintain()

    assert first
    assert then is bound
    assert ("discovery", "#") in desk.broker.bindings


async def test_while_hosts_are_found_others_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"h{number}": topology.host_exchange(f"h{number}", "first") for number in range(300)}
    desk = Desk(known=known)
    desk.broker.free.set()
    incoming = await desk.open()
    monkeypatch.setattr(discovery, "BOUND_S", 0.05)
    await asyncio.sleep(0.05)

    await desk.broker.heartbeat_of("new")
    await incoming.maintain()
    then = ("discovery", "#") in desk.broker.bindings
    await asyncio.sleep(0.06)
    await incoming.maintain()

    assert then
    assert ("discovery", "#") not in desk.broker.bindings
