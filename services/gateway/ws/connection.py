"""Shared by all WebSocket endpoints: ending their tasks, and closing a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from starlette.websockets import WebSocket, WebSocketDisconnect

# Close codes of RFC 6455's registry.
NORMAL = 1000
POLICY_VIOLATION = 1008
# A retry will not help.
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
# For sending the close frame; such a client often reads nothing any more.
CLOSE_S = 1.0


async def until_one_ends(*work: Coroutine[None, None, None]) -> None:
    """Run all until one ends, then cancel the others; raise what it raised.

    A disconnect of the client is a normal end.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel_all(tasks)


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close the connection; give up on a client that does not read."""
    with contextlib.suppress(TimeoutError, RuntimeError):
        await asyncio.wait_for(websocket.close(code, reason), CLOSE_S)


def address(websocket: WebSocket) -> str:
    """Return the address of the client."""
    return websocket.client.host if websocket.client else ""


async def _cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
            raise result
