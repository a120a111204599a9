"""Clients of `/ws/stream` that only look for the changes that the simulator published.

They read bytes, not messages, so that a hundred of them cost as little as a few.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from benchmarks.fleet.simulator import PUBLISHED
from tests.support.polling import NotInTime, eventually

PATH = "/ws/stream?topic=instances"
# How many clients fetch the whole state at once.
AT_ONCE = 4
_CHANGE = re.compile(rf"{PUBLISHED}(\d+\.\d{{6}})".encode())
_LONGEST = 64


class StreamClient(asyncio.Protocol):
    """One client; `latencies_ms` are those of the changes published since `since`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._arrived: set[bytes] = set()
        self.since = time.monotonic()
        self.latencies_ms: list[float] = []
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request the stream."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Look for changes; only the first message with a change counts."""
        now, text = time.monotonic(), self._tail + data
        for found in _CHANGE.finditer(text):
            published_at = found[1]
            if published_at not in self._arrived and float(published_at) >= self.since:
                self._arrived.add(published_at)
                self.latencies_ms.append(1000 * (now - float(published_at)))
        self._tail = text[-_LONGEST:]

    def connection_lost(self, _: Exception | None) -> None:
        """Remember that the gateway has closed the connection."""
        self.closed = True

    def restart(self, since: float) -> None:
        """Count only what is published from a moment on."""
        self.since, self.latencies_ms = since, []

    def close(self) -> None:
        """Disconnect, if it is connected."""
        if self._transport:
            self._transport.abort()


@asynccontextmanager
async def stream_clients(
    number: int, port: int, within_s: float
) -> AsyncIterator[list[StreamClient]]:
    """Connect clients; yield those to which a change has come in time."""
    clients: list[StreamClient] = []
    end = time.monotonic() + within_s
    try:
        while len(clients) < number and time.monotonic() < end:
            newest = await asyncio.gather(
                *(_connect(port) for _ in range(min(AT_ONCE, number - len(clients))))
            )
            clients += newest
            with suppress(NotInTime):
                await eventually(partial(_have_changes, newest), within_s=end - time.monotonic())
        yield [each for each in clients if each.latencies_ms and not each.closed]
    finally:
        for client in clients:
            client.close()


def _have_changes(clients: list[StreamClient]) -> bool:
    return all(client.latencies_ms for client in clients)


async def _connect(port: int) -> StreamClient:
    client = StreamClient(port)
    with suppress(OSError):
        await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
    return client
