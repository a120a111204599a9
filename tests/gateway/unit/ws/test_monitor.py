from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

import pytest

from services.gateway.telemetry import Telemetry
from services.gateway.ws.monitor import Monitor
from tests.support.gateway import FakeFleet
from tests.support.peer import Peer
from tests.support.polling import eventually


def monitor(interval_s: float = 5.0, patience_s: float = 10.0) -> Monitor:
    fleet = FakeFleet()
    return Monitor(
        fleet, interval_s, lambda: datetime.now(UTC), time.monotonic, Telemetry(fleet), patience_s
    )


async def test_serving_ends_when_the_viewer_leaves() -> None:
    peer = Peer()
    serving = asyncio.create_task(monitor().serve(peer.websocket()))
    await eventually(lambda: len(peer.taken) == 2)

    peer.go()
    await asyncio.wait_for(serving, 1)

    assert [message["type"] for message in peer.taken] == ["websocket.accept", "websocket.send"]


async def test_viewers_are_counted_and_so_are_those_that_are_let_go() -> None:
    stream = monitor(0.05, patience_s=0.05)
    patient, deaf = Peer(), Peer(takes=2)
    serving = asyncio.create_task(stream.serve(patient.websocket()))

    await asyncio.wait_for(stream.serve(deaf.websocket()), 2)

    told = stream.telemetry.text().decode()
    assert 'lxdfleet_websocket_clients{stream="monitor"} 1.0' in told
    assert 'lxdfleet_websocket_clients_dropped_total{stream="monitor"} 1.0' in told
    patient.go()
    await asyncio.wait_for(serving, 2)


async def test_a_viewer_that_takes_no_message_in_time_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer = Peer(takes=2)

    await asyncio.wait_for(monitor(0.05, patience_s=0.05).serve(peer.websocket()), 2)

    closed = peer.taken[-1]
    assert (closed["type"], closed["code"], closed["reason"]) == (
        "websocket.close",
        1013,
        "too slow",
    )
    [line] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert vars(line)["address"] == "192.0.2.9"


async def test_a_feed_lives_no_longer_than_its_viewers() -> None:
    watched, peer = monitor(), Peer()
    serving = asyncio.create_task(watched.serve(peer.websocket()))
    await eventually(lambda: len(peer.taken) == 2)
    during = len(watched._streams)

    peer.go()
    await serving

    assert (during, len(watched._streams)) == (1, 0)


async def test_a_stopped_server_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    peer = Peer()
    serving = asyncio.create_task(monitor().serve(peer.websocket()))
    await eventually(lambda: len(peer.taken) == 2)

    serving.cancel()
    await asyncio.wait([serving])

    assert asyncio.all_tasks() == before
