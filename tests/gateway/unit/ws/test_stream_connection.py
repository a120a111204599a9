from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from services.gateway.telemetry import Telemetry
from services.gateway.ws.stream import FleetStream, StreamTimeouts
from services.gateway.ws.stream_connection import MOST_SUBSCRIPTIONS
from services.gateway.ws.topic_registry import TopicLanguage, TopicRegistry
from shared.contracts.errors import DatabaseUnavailable
from tests.support.gateway import FakeFleet, FakeOperations
from tests.support.peer import Peer
from tests.support.polling import eventually
from tests.support.views import a_view


class Bench:
    """A stream over fakes."""

    def __init__(self, **pace: float) -> None:
        self.fleet = FakeFleet()
        self.operations = FakeOperations()
        self.pace = StreamTimeouts(**pace)
        self.topics = TopicRegistry(self.fleet, self.operations, self._now)
        words = TopicLanguage("en", str, lambda operation: operation.state, str)
        self.telemetry = Telemetry(self.fleet)
        self.stream = FleetStream(
            self.fleet, self.topics, lambda _: words, self._now, self.telemetry, self.pace
        )

    @asynccontextmanager
    async def serving(self, peer: Peer) -> AsyncIterator[asyncio.Task[None]]:
        serving = asyncio.create_task(self.stream.serve(peer.websocket()))
        yield serving
        peer.go()
        peer.go_on()
        await asyncio.wait_for(serving, 2)

    def change(self, number: int, size: int = 1) -> None:
        described = a_view("web", description=f"{number}" * size)
        self.fleet.change(instances=[described])

    def _now(self) -> datetime:
        return datetime.now(UTC)


def watching(topic: str = "instances", takes: int = 1000, **query: str) -> Peer:
    return Peer(takes, path="/ws/stream", topic=topic, **query)


def types(peer: Peer) -> list[Any]:
    return [message["type"] for message in peer.heard()]


async def test_the_state_comes_first_then_every_change() -> None:
    bench, peer = Bench(), watching()
    async with bench.serving(peer):
        await eventually(lambda: types(peer) == ["state"])
        bench.change(1)
        await eventually(lambda: types(peer) == ["state", "delta"])

    state, delta = peer.heard()
    assert (state["sequence"], delta["sequence"]) == (1, 2)
    assert delta["changed"].keys() == {"h1/default/web"}
    assert delta["removed"] == ["h1/default/test1"]


async def test_changes_at_once_are_told_at_once() -> None:
    bench, peer = Bench(), watching()
    async with bench.serving(peer):
        await eventually(lambda: types(peer) == ["state"])
        for number in range(50):
            bench.change(number)
        await eventually(lambda: "49" in str(peer.heard("delta")))

    assert len(peer.heard("delta")) <= 2


async def test_who_resumes_gets_what_it_missed() -> None:
    bench, first = Bench(), watching()
    async with bench.serving(first):
        await eventually(lambda: types(first) == ["state"])
    bench.change(1)

    second = watching(after=first.heard()[0]["token"])
    async with bench.serving(second):
        await eventually(lambda: second.heard())

    assert types(second) == ["delta"]
    assert second.heard()[0]["changed"].keys() == {"h1/default/web"}


async def test_who_resumes_and_missed_nothing_is_told_so() -> None:
    bench, first = Bench(), watching()
    async with bench.serving(first):
        await eventually(lambda: types(first) == ["state"])

    token = first.heard()[0]["token"]
    second = watching(after=token)
    async with bench.serving(second):
        await eventually(lambda: second.heard())

    (delta,) = second.heard()
    assert (delta["type"], delta["changed"], delta["removed"]) == ("delta", {}, [])
    assert delta["token"] == token


async def test_who_resumes_at_a_restarted_gateway_begins_anew() -> None:
    first = watching()
    async with Bench().serving(first):
        await eventually(lambda: types(first) == ["state"])

    second = watching(after=first.heard()[0]["token"])
    async with Bench().serving(second):
        await eventually(lambda: len(second.heard()) == 2)

    assert types(second) == ["resync", "state"]
    assert second.heard()[0]["reason"] == "unknown_position"


async def test_a_viewer_that_fell_behind_begins_anew_and_cost_no_memory() -> None:
    bench, peer = Bench(), watching(takes=2)
    async with bench.serving(peer):
        await eventually(lambda: types(peer) == ["state"])
        (running,) = bench.topics._running.values()
        for number in range(10, 30):
            before = running.log.sequence
            bench.change(number, size=500_000)
            await eventually(lambda before=before: running.log.sequence > before)
        held = running.log._bytes
        peer.go_on()
        await eventually(lambda: len(peer.heard("state")) == 2)

    assert types(peer) == ["state", "delta", "resync", "state"]
    assert peer.heard("resync")[0]["reason"] == "too_old"
    assert held <= 16 * 2**20


async def test_a_ping_names_where_a_quiet_part_is() -> None:
    bench, peer = Bench(ping_s=0.1), watching(host="nix")
    async with bench.serving(peer):
        await eventually(lambda: types(peer) == ["state"])
        bench.change(1)
        await eventually(lambda: peer.heard("ping"))

    assert not peer.heard("delta")
    (position,) = peer.heard("ping")[0]["positions"]
    assert (position["topic"], position["host"], position["sequence"]) == ("instances", "nix", 2)
    assert position["token"] != peer.heard("state")[0]["token"]


async def test_who_watches_nothing_for_long_is_sent_away() -> None:
    bench, peer = Bench(ping_s=0.05), Peer(path="/ws/stream")
    serving = asyncio.create_task(bench.stream.serve(peer.websocket()))

    await asyncio.wait_for(serving, 2)

    assert types(peer) == ["ping"]
    assert (peer.taken[-1]["code"], peer.taken[-1]["reason"]) == (1008, "nothing subscribed")


async def test_a_connection_watches_several_things() -> None:
    bench, peer = Bench(), Peer(path="/ws/stream")
    async with bench.serving(peer):
        for topic in ("instances", "hosts", "operations"):
            peer.say(type="subscribe", topic=topic)
        await eventually(lambda: len(peer.heard("state")) == 3)

    assert [each["topic"] for each in peer.heard()] == ["instances", "hosts", "operations"]


async def test_what_is_watched_no_more_is_told_no_more() -> None:
    bench, peer = Bench(), watching()
    async with bench.serving(peer):
        await eventually(lambda: types(peer) == ["state"])
        peer.say(type="unsubscribe", topic="instances")
        peer.say(type="subscribe", topic="hosts")
        await eventually(lambda: len(peer.heard("state")) == 2)
        bench.change(1)
        await asyncio.sleep(0.05)

    assert not peer.heard("delta")


async def test_to_subscribe_again_is_to_begin_anew() -> None:
    bench, peer = Bench(), watching()
    async with bench.serving(peer):
        await eventually(lambda: types(peer) == ["state"])
        peer.say(type="subscribe", topic="instances")
        await eventually(lambda: types(peer) == ["state", "state"])


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"type": "dance"},
        {"type": "subscribe"},
        {"type": "subscribe", "topic": "secrets"},
        {"type": "subscribe", "topic": "hosts", "nme": "x"},
        {"type": "subscribe", "topic": "hosts", "name": "x"},
        {"type": "subscribe", "topic": "hosts", "project": "x"},
        {"type": "subscribe", "topic": "instances", "after": 3},
    ],
)
async def test_a_wrong_request_is_answered_and_the_connection_stays(
    request_: dict[str, Any],
) -> None:
    bench, peer = Bench(), Peer(path="/ws/stream")
    async with bench.serving(peer):
        peer.say(**request_)
        peer.say(type="subscribe", topic="hosts")
        await eventually(lambda: len(peer.heard()) == 2)

    assert types(peer) == ["error", "state"]
    assert peer.heard()[0]["code"] == "invalid_input"


async def test_a_connection_watches_only_so_much() -> None:
    bench, peer = Bench(), Peer(path="/ws/stream")
    async with bench.serving(peer):
        for number in range(MOST_SUBSCRIPTIONS + 1):
            peer.say(type="subscribe", topic="instances", name=f"n{number}")
        await eventually(lambda: peer.heard("error"))
        await eventually(lambda: len(peer.heard("state")) == MOST_SUBSCRIPTIONS)

    assert len(peer.heard("error")) == 1


async def test_operations_that_cannot_be_read_now_are_asked_for_again() -> None:
    bench, peer = Bench(), Peer(path="/ws/stream")
    bench.operations.list_refusal = DatabaseUnavailable()
    async with bench.serving(peer):
        peer.say(type="subscribe", topic="operations")
        await eventually(lambda: types(peer) == ["error"])
        bench.operations.list_refusal = None
        peer.say(type="subscribe", topic="operations")
        await eventually(lambda: types(peer) == ["error", "state"])

    assert peer.heard()[0]["code"] == "database_unavailable"
