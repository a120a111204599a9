"""Connect many clients to a WebSocket, which receive what they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.client import connect

from tests.support.polling import eventually

WITHIN_S = 60.0


@dataclass(slots=True)
class Crowd:
    """How many clients are connected, and how many messages all of them have received."""

    connected: int = 0
    messages: int = 0


@asynccontextmanager
async def crowd(number: int, port: int, path: str) -> AsyncIterator[Crowd]:
    """Connect this many clients, yield, and disconnect them."""
    clients = Crowd()
    url = f"ws://127.0.0.1:{port}{path}"
    tasks = [asyncio.create_task(_watch(url, clients)) for _ in range(number)]
    try:
        await eventually(lambda: clients.connected == number, within_s=WITHIN_S)
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(clients: Crowd, messages: int) -> None:
    """Return once all clients together have received this many messages."""
    await eventually(lambda: clients.messages >= messages, within_s=WITHIN_S)


async def _watch(url: str, clients: Crowd) -> None:
    async with connect(url, compression=None, ping_interval=None, proxy=None) as client:
        clients.connected += 1
        async for _ in client:
            clients.messages += 1
