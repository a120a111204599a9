"""Reads everything that a gateway shows, as its clients do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import connect

from tests.support.gateway_http import FakeGateway, listening
from tests.support.watching import message

LISTS = (
    "/api/instances",
    "/api/hosts",
    "/api/host/info",
    "/api/health",
    "/api/operations",
    "/api/v1/vms",
    "/api/v1/templates",
    "/api/prometheus/targets",
)


@dataclass
class Reading:
    """What came: answers by path, the text of `/metrics`, the first message of each stream."""

    answers: dict[str, httpx.Response] = field(default_factory=dict)
    metrics: str = ""
    monitor: Any = None
    streams: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """The paths that did not answer 200."""
        return [path for path, answer in self.answers.items() if answer.status_code != 200]


async def read_everything(gateway: FakeGateway, more: Iterable[str] = ()) -> Reading:
    """Return all lists, the paths in `more`, the metrics and the first message of each stream."""
    reading = Reading()
    async with (
        listening(gateway.app()) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for path in (*LISTS, *more):
            reading.answers[path] = await client.get(path)
        reading.metrics = (await client.get("/metrics")).text
        async with connect(f"ws://127.0.0.1:{port}/ws/monitor") as monitor:
            reading.monitor = await message(monitor)
        for topic in ("instances", "hosts", "operations"):
            async with connect(f"ws://127.0.0.1:{port}/ws/stream?topic={topic}") as stream:
                reading.streams[topic] = await message(stream)
    return reading
