"""Many clients of a WebSocket that take what they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.client import connect

from tests.support.host import eventually

WITHIN_S = 60.0


@dataclass(slots=True)
class Crowd:
    """How many have come, and how many messages all of them have got."""

    present: int = 0
    messages: int = 0


@asynccontextmanager
async def crowd(number: int, port: int, path: str) -> AsyncIterator[Crowd]:
    """Yield when so many clients are connected; let them go afterwards."""
    everybody = Crowd()
    url = f"ws://127.0.0.1:{port}{path}"
    watching = [asyncio.create_task(_watch(url, everybody)) for _ in range(number)]
    try:
        await eventually(lambda: everybody.present == number, within_s=WITHIN_S)
        yield everybody
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def until(everybody: Crowd, messages: int) -> None:
    """Return when all together have got so many messages."""
    await eventually(lambda: everybody.messages >= messages, within_s=WITHIN_S)


async def _watch(url: str, everybody: Crowd) -> None:
    async with connect(url, compression=None, ping_interval=None, proxy=None) as client:
        everybody.present += 1
        async for _ in client:
            everybody.messages += 1
