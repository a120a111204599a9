"""Connections to the broker, with what aiormq lacks.

They survive malformed frames, notice when the broker is blocked, and whoever waits for an answer
learns of a lost connection by an error, never by a cancellation that nobody has asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import ContextVar

import aio_pika
import pamqp.frame
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.base import FutureStore
from pamqp import commands
from pamqp.frame import FrameTypes
from yarl import URL

from services.gateway.bus.frame_decoder import decode_frame

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
HEARTBEAT_S = 10

CONNECTION_ERRORS = (*CONNECTION_EXCEPTIONS, TimeoutError)


class Alarm:
    """Why the broker is blocked, short of memory or disk space; empty: it is not."""

    reason: str = ""


# aiormq only logs it. It reads each connection's frames in a task of its own, with the context in
# which the connection was opened.
_alarm: ContextVar[Alarm | None] = ContextVar("_alarm", default=None)


async def connect(uri: str, alarm: Alarm | None = None) -> AbstractConnection:
    """Connect to the broker and keep `alarm` up to date; raise one of `CONNECTION_ERRORS`."""
    token = _alarm.set(alarm)
    try:
        address = URL(uri).update_query(heartbeat=HEARTBEAT_S)
        return await aio_pika.connect(address, timeout=CONNECT_TIMEOUT_S)
    finally:
        _alarm.reset(token)


async def close(connection: AbstractConnection) -> None:
    """Close a connection; give up on a broker that does not respond."""
    with suppress(*CONNECTION_ERRORS):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()


class SharedConnection:
    """A connection of many users, opened on first use, and again after a loss."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._connection: AbstractConnection | None = None
        self._connecting = asyncio.Lock()

    async def get(self) -> AbstractConnection:
        """Return the open connection; raise one of `CONNECTION_ERRORS`."""
        async with self._connecting:
            if self._connection is None or not self._connection.connected.is_set():
                await self.close()
                self._connection = await connect(self._uri)
            return self._connection

    async def close(self) -> None:
        """Close the connection; the next `get` opens a new one."""
        if self._connection:
            await close(self._connection)


def _unmarshal(data_in: bytes) -> tuple[int, int, FrameTypes]:
    consumed, channel, frame = decode_frame(data_in)
    if channel == 0 and (alarm := _alarm.get()):
        if isinstance(frame, commands.Connection.Blocked):
            alarm.reason = str(frame.reason)
        elif isinstance(frame, commands.Connection.Unblocked):
            alarm.reason = ""
    return consumed, channel, frame


# aiormq has no parameter for its frame decoder, but looks this function up at each frame.
pamqp.frame.unmarshal = _unmarshal


_reject_all = FutureStore.reject_all


def _reject_as_lost(waiting: FutureStore, reason: object) -> Awaitable[None]:
    # What hangs is given up by the cancellation of aiormq's own reader. Passed on as it is, that
    # would end the task of whoever waits.
    is_cancellation = reason is asyncio.CancelledError or isinstance(reason, asyncio.CancelledError)
    lost = ConnectionResetError("the connection to the broker was closed")
    return _reject_all(waiting, lost if is_cancellation else reason)


FutureStore.reject_all = _reject_as_lost  # type: ignore[method-assign]
