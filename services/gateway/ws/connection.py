"""What the WebSockets have in common: how their tasks end, and how a viewer is let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from starlette.websockets import WebSocket, WebSocketDisconnect

# RFC 6455's registry: all is said.
NORMAL = 1000
# What the viewer did is not allowed.
POLICY_VIOLATION = 1008
# And: the server ran into something that another attempt will not help.
INTERNAL_ERROR = 1011
# And: the server cannot go on now, the viewer may come back later.
TRY_AGAIN_LATER = 1013
# Seconds for the close frame to leave; such a peer has often shown already that it reads nothing.
CLOSE_S = 1.0


async def until_one_ends(*work: Coroutine[None, None, None]) -> None:
    """Run all until one ends, then end the others; raise what it raised.

    That the viewer has gone is a normal end.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _ended(tasks)


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Tell the viewer to go; one that does not listen is left."""
    with contextlib.suppress(TimeoutError, RuntimeError):
        await asyncio.wait_for(websocket.close(code, reason), CLOSE_S)


def address(websocket: WebSocket) -> str:
    """Return where the viewer is."""
    return websocket.client.host if websocket.client else ""


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for ending in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ending, Exception) and not isinstance(ending, WebSocketDisconnect):
            raise ending
