"""Clients that take their time, on a real gateway: each is let go, and nobody waits for it.

They have less time here than the 20 s that are shipped: see `gateway/unit/test_settings.py`.
"""

import asyncio
import contextlib
import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

import pytest
from websockets.frames import Frame, Opcode

from deploy.local import processes
from tests.support.certificates import self_signed
from tests.support.gateway_process import Process
from tests.support.polling import eventually, wait_until

Start = Callable[..., Process]

TIMEOUT = {"FLEET_CLIENT_TIMEOUT_S": "2"}
# Less than the 20 s of a gateway that is not told; 5 s more than the time-out are for what is idle.
PATIENCE_S = 15.0
# Eight of them are more than the kernel keeps for a connection.
LARGE = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/instances/x/start HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /ws/monitor HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)


@pytest.fixture(scope="module")
def process_settings() -> dict[str, str]:
    return TIMEOUT


async def trickle(port: int, first: bytes, drop: bytes = b"x") -> bytes:
    """Send, then a drop each second; return what is answered when the gateway ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    received = asyncio.create_task(reader.read())
    while not received.done():
        writer.write(drop)
        await asyncio.wait([received], timeout=1)
    writer.close()
    try:
        return await received
    except ConnectionError:
        return b"reset"
    finally:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def unread(gateway: Process, sent: bytes, more: bytes = b"") -> None:
    """Send, and more again and again, and read nothing until the gateway has ended it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", gateway.ports[0]))
        client.setblocking(False)
        client.send(sent)
        await eventually(lambda: gateway.is_connected_to(client))
        while gateway.is_connected_to(client):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                for _ in range(100):
                    client.send(more)
            await asyncio.sleep(0.2)


async def took(ending: Awaitable[object]) -> float:
    began = time.monotonic()
    try:
        await asyncio.wait_for(ending, PATIENCE_S)
    except TimeoutError:
        return math.inf
    return time.monotonic() - began


@pytest.mark.attack
async def test_who_sends_or_reads_too_slowly_is_let_go(gateway_process: Process) -> None:
    port = gateway_process.ports[0]
    slow = {
        "a silent one": trickle(port, b"", b""),
        "a head": trickle(port, POST),
        "a body": trickle(port, POST + b"Content-Length: 99\r\n\r\n"),
        "a chunked body": trickle(
            port, POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
        ),
        "empty lines": trickle(port, b"", b"\r\n"),
        "the next head": trickle(port, GET + POST),
        "empty lines after an answer": trickle(port, GET, b"\r\n"),
        "an answer unread": unread(gateway_process, LARGE * 8),
        "answers unread": unread(gateway_process, GET, GET),
        "pongs unread": unread(gateway_process, UPGRADE, PING * 20),
    }

    seconds = dict(zip(slow, await asyncio.gather(*map(took, slow.values())), strict=True))

    assert max(seconds.values()) < PATIENCE_S, seconds
    # Who asks again and again is not waited for: too many requests are sent ahead.
    waited = [seconds[each] for each in slow if each != "answers unread"]
    assert min(waited) >= 2, seconds
    assert "Traceback" not in gateway_process.log.read_text()


async def test_it_is_said_what_took_too_long(gateway_process: Process) -> None:
    port = gateway_process.ports[0]

    head, body, silent = await asyncio.gather(
        trickle(port, POST),
        trickle(port, POST + b"Content-Length: 99\r\n\r\n"),
        trickle(port, b"", b""),
    )

    assert head.startswith(b"HTTP/1.1 408")
    assert body.startswith(b"HTTP/1.1 408")
    assert silent == b""


async def test_an_idle_connection_ends_soon_after_its_answer(start_process: Start) -> None:
    gateway = start_process()
    gateway.wait_until_ready()

    assert await took(trickle(gateway.ports[0], GET, b"")) < 8


@pytest.mark.attack
async def test_a_tls_hand_shake_that_does_not_go_on_ends(
    start_process: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    certificate = self_signed(tmp_path_factory.mktemp("tls"))
    gateway = start_process(
        FLEET_TLS_CERT=str(certificate.cert),
        FLEET_TLS_KEY=str(certificate.key),
        FLEET_MAX_CONNECTIONS="3",
        **TIMEOUT,
    )
    port = gateway.ports[0]
    wait_until(lambda: processes.listens(port), within_s=15)

    half = [
        took(trickle(port, first, b"")) for first in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x02")
    ]

    assert max(await asyncio.gather(*half)) < PATIENCE_S
    trusting = ssl.create_default_context(cafile=certificate.cert)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(GET)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.transport.abort()
