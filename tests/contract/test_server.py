"""What only a real server shows: connections that break off, and bodies that do not end."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect

from services.gateway.telemetry import Telemetry
from services.gateway.ws.monitor import Monitor
from tests.support.gateway import FakeFleet
from tests.support.gateway_http import FakeGateway, listening
from tests.support.polling import eventually
from tests.support.views import a_view

CHUNKED = (
    b"POST /api/instances/test1/start HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
START = b"POST /api/instances/test1/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


UPGRADE = (
    b"GET /ws/monitor HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_chunked_body_without_end_is_refused_while_it_comes() -> None:
    gateway = FakeGateway()
    async with listening(gateway.app()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CHUNKED + (b"10000\r\n" + b" " * 2**16 + b"\r\n") * 17)
        status = await asyncio.wait_for(reader.readline(), 10)
        writer.close()

    assert status.startswith(b"HTTP/1.1 413")
    assert gateway.operations.submitted == []


async def test_a_caller_who_hangs_up_does_not_stop_the_operation() -> None:
    gateway = FakeGateway()
    gateway.operations.held = asyncio.Event()
    async with listening(gateway.app()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(START)
        await eventually(lambda: bool(gateway.operations.waits))
        writer.close()
        await writer.wait_closed()
        gateway.operations.held.set()
        await eventually(lambda: gateway.operations.known["op-1"].final)

    assert gateway.operations.known["op-1"].state == "done"


async def test_a_viewer_that_reads_nothing_is_let_go_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet = FakeFleet(known_instances=[a_view(f"i{n}") for n in range(3000)])
    monitor = Monitor(
        fleet,
        0.2,
        lambda: datetime.now(UTC),
        time.monotonic,
        Telemetry(fleet),
        send_timeout_s=0.5,
    )
    app = Starlette(routes=[WebSocketRoute("/ws/monitor", monitor.serve)])
    async with listening(app, ws_ping_interval=None) as port:
        with deaf_viewer(port):
            async with connect(f"ws://127.0.0.1:{port}/ws/monitor", max_size=None) as other:
                began = time.monotonic()
                sizes = [len(await other.recv()) for _ in range(10)]
                took_s = time.monotonic() - began
            await eventually(lambda: "client too slow" in caplog.text)

    assert min(sizes) > 500_000
    assert took_s < 5


def deaf_viewer(port: int) -> socket.socket:
    """Return a viewer that asks for the stream and reads nothing; little fits on its way."""
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect(("127.0.0.1", port))
    viewer.sendall(UPGRADE)
    return viewer
