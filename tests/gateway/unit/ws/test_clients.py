"""What both streams promise of their clients: each is counted, and let go when it takes nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.gateway.telemetry import Telemetry
from services.gateway.ws.monitor import Monitor
from services.gateway.ws.stream import FleetStream, StreamTimeouts
from services.gateway.ws.topic_registry import TopicLanguage, TopicRegistry
from tests.support.gateway import FakeFleet, FakeOperations
from tests.support.peer import Peer
from tests.support.polling import eventually

Stream = Monitor | FleetStream
BOTH = pytest.mark.parametrize("name", ["monitor", "stream"])


def now() -> datetime:
    return datetime.now(UTC)


def made(name: str, send_s: float = 10.0) -> tuple[Stream, Callable[[int], Peer]]:
    """Return a stream, and what makes clients of it that take so many messages."""
    fleet = FakeFleet()
    telemetry = Telemetry(fleet)
    if name == "monitor":
        return Monitor(fleet, 0.05, now, time.monotonic, telemetry, send_s), Peer
    words = TopicLanguage("en", str, lambda operation: operation.state, str)
    topics = TopicRegistry(fleet, FakeOperations(), now)
    pace = StreamTimeouts(send_s=send_s)
    stream = FleetStream(fleet, topics, lambda _: words, now, telemetry, pace)
    return stream, lambda takes: Peer(takes, path="/ws/stream", topic="instances")


@BOTH
async def test_clients_are_counted_and_so_are_those_that_are_let_go(name: str) -> None:
    stream, client = made(name, send_s=0.05)
    patient, deaf = client(1000), client(1)
    serving = asyncio.create_task(stream.serve(patient.websocket()))

    await asyncio.wait_for(stream.serve(deaf.websocket()), 2)

    told = stream.telemetry.text().decode()
    assert f'lxdfleet_websocket_clients{{stream="{name}"}} 1.0' in told
    assert f'lxdfleet_websocket_clients_dropped_total{{stream="{name}"}} 1.0' in told
    patient.go()
    await asyncio.wait_for(serving, 2)


@BOTH
async def test_a_client_that_takes_no_message_in_time_is_closed(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream, client = made(name, send_s=0.05)
    peer = client(1)

    await asyncio.wait_for(stream.serve(peer.websocket()), 2)

    closed = peer.taken[-1]
    ending = ("websocket.close", 1013, "too slow")
    assert (closed["type"], closed["code"], closed["reason"]) == ending
    [line] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert vars(line)["address"] == "192.0.2.9"


@BOTH
async def test_a_stopped_server_leaves_no_task_behind(name: str) -> None:
    before = asyncio.all_tasks()
    stream, client = made(name)
    peer = client(1000)
    serving = asyncio.create_task(stream.serve(peer.websocket()))
    await eventually(peer.heard)

    serving.cancel()
    await asyncio.wait([serving])

    assert asyncio.all_tasks() == before
