import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from services.gateway.bus.connection import Alarm
from services.gateway.bus.consumer import Consumer, RateBudget
from services.gateway.bus.dead_letters import DeadLetters
from shared.contracts.errors import UnreadableMessage

GENEROUS = RateBudget(1000, 1000, 10**9, 10**9, prefetch=4)


@dataclass
class FakeChannel:
    """Delivers what a test gives it, and keeps which deliveries were acknowledged."""

    acknowledged: list[int] = field(default_factory=list)
    deliver: Any = None

    async def basic_consume(self, queue: str, callback: Any) -> commands.Basic.ConsumeOk:
        self.deliver = callback
        return commands.Basic.ConsumeOk(consumer_tag="tag")

    async def basic_ack(self, delivery_tag: int, *, wait: bool) -> None:
        self.acknowledged.append(delivery_tag)

    def message(self, tag: int, body: bytes = b"x") -> DeliveredMessage:
        delivery = commands.Basic.Deliver(delivery_tag=tag, routing_key="h1.worker.sample")
        return DeliveredMessage(delivery, ContentHeader(), body, self)  # type: ignore[arg-type]


@dataclass
class Desk:
    """A consumer of host h1, what it was given, and what was counted."""

    budget: RateBudget = GENEROUS
    failure: Exception | None = None
    channel: FakeChannel = field(default_factory=FakeChannel)
    handled: list[bytes] = field(default_factory=list)
    dead: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)

    async def open(self) -> None:
        letters = DeadLetters(Alarm(), lambda host: self.dead.update([host]))
        late = self.throttled
        consumer = Consumer(
            "h1", self._handle, self.budget, letters, lambda host: late.update([host])
        )
        await consumer.start(self.channel, "queue")  # type: ignore[arg-type]

    async def _handle(self, message: DeliveredMessage) -> None:
        if self.failure:
            raise self.failure
        self.handled.append(message.body)


async def test_what_is_handled_is_acknowledged() -> None:
    desk = Desk()
    await desk.open()

    await desk.channel.deliver(desk.channel.message(7, b"body"))

    assert desk.handled == [b"body"]
    assert desk.channel.acknowledged == [7]
    assert not desk.throttled


@pytest.mark.attack
@pytest.mark.parametrize(
    "failure",
    [UnreadableMessage("no JSON"), RecursionError(), MemoryError(), KeyError("x"), OSError()],
    ids=repr,
)
async def test_no_failure_over_a_message_leaves_the_consumer(failure: Exception) -> None:
    desk = Desk(failure=failure)
    await desk.open()

    await desk.channel.deliver(desk.channel.message(1))

    assert desk.channel.acknowledged == [1]
    assert desk.dead == {"h1": 1}


async def test_whoever_closes_the_connection_ends_what_it_waits_for() -> None:
    desk = Desk(failure=asyncio.CancelledError())  # type: ignore[arg-type]
    await desk.open()

    with pytest.raises(asyncio.CancelledError):
        await desk.channel.deliver(desk.channel.message(1))

    assert not desk.channel.acknowledged
    assert not desk.dead


@pytest.mark.attack
@pytest.mark.parametrize(
    ("budget", "body"),
    [
        (RateBudget(20, 2, 10**9, 10**9, prefetch=4), b"x"),
        (RateBudget(10**6, 10**6, 20_000, 2000, prefetch=4), b"x" * 1000),
    ],
    ids=["messages", "bytes"],
)
async def test_beyond_the_budget_only_the_acknowledgements_are_late(
    budget: RateBudget, body: bytes
) -> None:
    desk = Desk(budget)
    await desk.open()

    messages = [desk.channel.message(tag, body) for tag in range(1, 5)]
    taking = [asyncio.create_task(desk.channel.deliver(message)) for message in messages]
    await asyncio.sleep(0.01)

    assert len(desk.handled) == 4
    assert desk.channel.acknowledged == [1, 2]
    await asyncio.gather(*taking)
    assert desk.channel.acknowledged == [1, 2, 3, 4]
    assert desk.throttled == {"h1": 2}
