import hashlib
from collections import Counter
from typing import Any

import pytest
from aio_pika import Message
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from services.gateway.bus.connection import Alarm
from services.gateway.bus.dead_letters import DeadLetters
from shared.platform.bus.dead_letter import AT_ONCE, BODY_BYTES


class FakeExchange:
    """Keeps what is published; `failure` is raised instead."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Message]] = []
        self.failure: Exception | None = None

    async def publish(self, message: Message, routing_key: str) -> None:
        if self.failure:
            raise self.failure
        self.published.append((routing_key, message))


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def alarm() -> Alarm:
    return Alarm()


@pytest.fixture
def dead_letters(exchange: Any, counted: Counter[str], alarm: Alarm) -> DeadLetters:
    letters = DeadLetters(alarm, lambda host: counted.update([host]))
    letters.connect(exchange)
    return letters


def a_message(body: bytes = b"x", key: str = "h1.worker.sample") -> DeliveredMessage:
    delivery = commands.Basic.Deliver(routing_key=key)
    return DeliveredMessage(delivery, ContentHeader(), body, None)  # type: ignore[arg-type]


@pytest.mark.attack
async def test_of_a_large_message_the_beginning_is_kept_with_its_size_and_digest(
    dead_letters: DeadLetters, exchange: FakeExchange
) -> None:
    body = b"[" * 2**20

    await dead_letters.add("h1", a_message(body), "nested")

    ((key, letter),) = exchange.published
    assert key == "h1.unreadable"
    assert letter.body == body[:BODY_BYTES]
    assert letter.headers == {
        "fleet-reason": "nested",
        "fleet-key": "h1.worker.sample",
        "fleet-size": 2**20,
        "fleet-sha256": hashlib.sha256(body).hexdigest(),
    }


@pytest.mark.attack
async def test_of_a_host_that_sends_many_the_first_are_kept_and_all_are_counted(
    dead_letters: DeadLetters,
    exchange: FakeExchange,
    counted: Counter[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(500):
        await dead_letters.add("h1", a_message(), "no JSON")
    await dead_letters.add("h2", a_message(), "no JSON")

    kept = Counter(key for key, _ in exchange.published)
    assert kept == {"h1.unreadable": AT_ONCE, "h2.unreadable": 1}
    assert counted == {"h1": 500, "h2": 1}
    assert len(caplog.records) == 2


async def test_a_broker_that_takes_nothing_is_not_asked_to(
    dead_letters: DeadLetters, exchange: FakeExchange, counted: Counter[str], alarm: Alarm
) -> None:
    alarm.reason = "low on disk"

    await dead_letters.add("h1", a_message(), "no JSON")

    assert not exchange.published
    assert counted == {"h1": 1}


async def test_a_letter_that_is_lost_costs_nobody_else_anything(
    dead_letters: DeadLetters, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.failure = ConnectionError()

    await dead_letters.add("h1", a_message(), "no JSON")

    assert "dead letter lost" in caplog.messages
