from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

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


async def test_a_feed_lives_no_longer_than_its_viewers() -> None:
    watched, peer = monitor(), Peer()
    serving = asyncio.create_task(watched.serve(peer.websocket()))
    await eventually(lambda: len(peer.taken) == 2)
    during = len(watched._streams)

    peer.go()
    await serving

    assert (during, len(watched._streams)) == (1, 0)
