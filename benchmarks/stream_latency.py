"""Measure the time from LXD's event to the stream of changes.

One container's description is changed again and again, while the benchmark listens to LXD's events
and to the gateway's stream. LXD's event is the baseline; worker, broker and gateway follow.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect, unix_connect

from benchmarks.figures import Figure, at_most, centile, spread
from benchmarks.ground import Ground, alone

# Seconds between two changes, as a worker combines the events of a burst.
PAUSE_S = 0.1
# Seconds until an event or message must have arrived.
ARRIVED_WITHIN_S = 10


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure half as many changes as other benchmarks have rounds."""
    took = asyncio.run(_latencies(ground, ground.scale.rounds // 2))
    what, measured, baseline = "LXD event to WebSocket message", spread(took), "LXD's event: 0 ms"
    yield Figure(what, measured, baseline, centile(took, 50), at_most(10, "ms (p50)"))
    yield Figure(what, measured, baseline, centile(took, 99), at_most(50, "ms (p99)"))


async def _latencies(ground: Ground, changes: int) -> list[float]:
    """Return the milliseconds from each event to its message."""
    name, socket = ground.loaded.names[0], str(ground.lxd.socket)
    events = unix_connect(
        socket, "ws://lxd/1.0/events?type=lifecycle", max_size=None, close_timeout=0.1
    )
    stream = connect(f"{ground.fleet.ws_url}/ws/stream?topic=instances&name={name}", proxy=None)
    took = []
    async with events as lxd, stream as gateway:
        for number in range(1 + changes):
            text = f"change {number}"
            event = asyncio.create_task(_event_of(lxd, name))
            message = asyncio.create_task(_message_with(gateway, text))
            body = {"description": text}
            await asyncio.to_thread(ground.lxd.call, "PATCH", f"/1.0/instances/{name}", body)
            took.append(1000 * (await message - await event))
            await asyncio.sleep(PAUSE_S)
    # The first change is not counted.
    return took[1:]


async def _event_of(lxd: ClientConnection, name: str) -> float:
    """Return when LXD's event of the instance's update arrived."""
    while True:
        event = json.loads(await asyncio.wait_for(lxd.recv(), ARRIVED_WITHIN_S))
        arrived_at = time.perf_counter()
        metadata = event.get("metadata") or {}
        source = str(metadata.get("source", "")).partition("?")[0]
        if metadata.get("action") == "instance-updated" and source.endswith(f"/{name}"):
            return arrived_at


async def _message_with(gateway: ClientConnection, description: str) -> float:
    """Return when the stream's message with the description arrived."""
    while True:
        message = json.loads(await asyncio.wait_for(gateway.recv(), ARRIVED_WITHIN_S))
        arrived_at = time.perf_counter()
        entries: dict[str, Any] = message.get("changed", {})
        if any(entry["info"]["description"] == description for entry in entries.values()):
            return arrived_at


if __name__ == "__main__":
    alone(figures)
