"""What a WebSocket's client may send, on a real gateway."""

import contextlib
import time

import psutil
import pytest
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from tests.support.gateway_process import Process
from tests.support.raw_http import answer, connected, said

pytestmark = pytest.mark.attack

MIB = 2**20
UPGRADE = (
    b"GET /ws/monitor HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FLOOD_S = 3.0


def flood(gateway_process: Process, opening: bytes, frames: bytes) -> int:
    """Send for some seconds and read nothing; return how much memory the gateway took for it."""
    memory = psutil.Process(gateway_process.popen.pid).memory_info
    # What the first one loads stays.
    with connect(f"ws://127.0.0.1:{gateway_process.ports[0]}/ws/monitor") as viewer:
        viewer.recv(timeout=5)
    with connected(gateway_process.ports[0]) as client:
        client.sendall(UPGRADE)
        assert client.recv(12) == b"HTTP/1.1 101"
        before = memory().rss
        client.settimeout(0.1)
        ends = time.monotonic() + FLOOD_S
        with contextlib.suppress(ConnectionError):
            client.sendall(opening)
            while time.monotonic() < ends:
                with contextlib.suppress(TimeoutError):
                    client.send(frames)
        return memory().rss - before


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def test_pings_whose_answers_nobody_reads_take_no_memory(gateway_process: Process) -> None:
    assert flood(gateway_process, b"", frame(Opcode.PING, b"x" * 125) * 1000) < 8 * MIB


def test_a_message_of_endless_fragments_takes_no_memory(gateway_process: Process) -> None:
    nothing = frame(Opcode.CONT, b"", fin=False) * 10_000

    assert flood(gateway_process, frame(Opcode.TEXT, b"", fin=False), nothing) < 8 * MIB


def close_code(gateway_process: Process, frames: bytes) -> int:
    """Return the code of the first close frame after what was sent."""
    with connected(gateway_process.ports[0]) as client:
        received = said(client, UPGRADE)
        assert received.startswith(b"HTTP/1.1 101")
        frames_back = said(client, frames)
    index = frames_back.index(bytes([0x80 | Opcode.CLOSE]))
    return int.from_bytes(frames_back[index + 2 : index + 4], "big")


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(Opcode.TEXT, b"x" * 70_000), 1009),
        (frame(Opcode.TEXT, b"x" * 40_000, fin=False) + frame(Opcode.CONT, b"x" * 40_000), 1009),
        (frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * 5000, 1009),
        (frame(Opcode.CONT, b"x"), 1002),
        (b"\x81\x05hello", 1002),
        (b"\xc1\x85\0\0\0\0hello", 1002),
        (frame(Opcode.TEXT, b"\xff"), 1007),
    ],
    ids=["long", "long in parts", "many parts", "no beginning", "bare", "reserved", "no UTF-8"],
)
def test_a_message_that_is_not_fit_ends_the_connection(
    gateway_process: Process, frames: bytes, code: int
) -> None:
    before = gateway_process.log.read_text().count("Traceback")

    assert close_code(gateway_process, frames) == code
    assert gateway_process.log.read_text().count("Traceback") == before


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (UPGRADE.replace(b"/ws/monitor", b"/ws/nix"), 404),
        (UPGRADE.replace(b"/ws/monitor", b"/console/x"), 401),
        (UPGRADE.replace(b"Version: 13", b"Version: 99"), 400),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"x" * MIB, 431),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ],
)
def test_refusals_below_the_app_tell_browsers_the_same(
    gateway_process: Process, request_: bytes, status: int
) -> None:
    with connected(gateway_process.ports[0]) as client:
        refused = answer(client, request_)

    assert refused.status == status
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert refused.headers["x-frame-options"] == "DENY"
    assert refused.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in refused.headers["content-security-policy"]
