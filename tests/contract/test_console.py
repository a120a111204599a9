"""The console's WebSocket and its page over a real server (docs/api/console.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.gateway.http.console_page import FILES
from shared.contracts.errors import FleetError, LxdRefused, StreamLost, TooManyConsoles
from shared.contracts.streams import Resize
from tests.support.clock import FakeClock
from tests.support.gateway_http import LOOPBACK, FakeGateway, listening
from tests.support.polling import eventually
from tests.support.vms import gateway_of_vms

GUARDED = replace(LOOPBACK, token="t0ken")
KEY = {"X-API-Key": "t0ken"}


@pytest.fixture
def gateway() -> FakeGateway:
    return gateway_of_vms()


async def address(port: int, vm: str = "vm-u1") -> str:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client:
        answer = await client.get(f"/api/v1/vms/{vm}/console")
    url: str = answer.json()["data"]["url"]
    return url


@asynccontextmanager
async def seated(gateway: FakeGateway) -> AsyncIterator[ClientConnection]:
    async with listening(gateway.app()) as port, connect(await address(port)) as viewer:
        yield viewer


async def refusal(url: str, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, **options)
    response = refused.value.response
    return response.status_code, json.loads(response.body)["code"]


async def ending(viewer: ClientConnection) -> tuple[dict[str, Any], int, str]:
    """Return the last text, and the code and the reason that close the connection."""
    text = ""
    while True:
        try:
            said = await viewer.recv()
        except ConnectionClosed as closed:
            rcvd = closed.rcvd
            break
        text = said if isinstance(said, str) else text
    assert rcvd is not None
    return json.loads(text), rcvd.code, rcvd.reason


async def test_what_is_shown_and_typed_are_binary_messages(gateway: FakeGateway) -> None:
    gateway.consoles.stream.shows = [b"\x1b[0m", b"\xff"]
    async with seated(gateway) as viewer:
        shown = [await viewer.recv(), await viewer.recv()]
        await viewer.send(b"ls\n")
        await eventually(lambda: gateway.consoles.stream.typed == [b"ls\n"])

    assert shown == [b"\x1b[0m", b"\xff"]


async def test_the_viewer_tells_the_size_of_its_terminal(gateway: FakeGateway) -> None:
    async with seated(gateway) as viewer:
        await viewer.send('{"type": "resize", "columns": 132, "rows": 43, "later": 1}')

        await eventually(lambda: gateway.consoles.stream.typed == [Resize(132, 43)])


async def test_a_viewer_that_pauses_is_shown_nothing_until_it_resumes(
    gateway: FakeGateway,
) -> None:
    stream = gateway.consoles.stream
    stream.shows, stream.begins = [b"late"], asyncio.Event()
    async with seated(gateway) as viewer:
        await viewer.send('{"type": "pause"}')
        await viewer.send(b"paused")
        await eventually(lambda: stream.typed == [b"paused"])
        stream.begins.set()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(viewer.recv(), 0.2)
        await viewer.send('{"type": "resume"}')

        assert await viewer.recv() == b"late"


async def test_a_viewer_cannot_type_faster_than_the_process_reads(gateway: FakeGateway) -> None:
    gateway.consoles.stream.reads = asyncio.Event()
    async with seated(gateway) as viewer:

        async def type_for_ever() -> None:
            while True:
                await viewer.send(bytes(60_000))

        typing = asyncio.create_task(type_for_ever())
        await eventually(lambda: gateway.consoles.stream.typed)
        _, waiting = await asyncio.wait([typing], timeout=1)
        typed = len(gateway.consoles.stream.typed)
        typing.cancel()
        gateway.consoles.stream.reads.set()
        viewer.transport.abort()  # else it would send all that it has typed first

    assert waiting
    assert typed == 1


@pytest.mark.parametrize(("status", "reason"), [(7, "exit 7"), (0, "exit 0"), (None, "ended")])
async def test_the_end_comes_with_the_exit_status(
    gateway: FakeGateway, status: int | None, reason: str
) -> None:
    gateway.consoles.stream.exit_status = status
    gateway.consoles.stream.ends.set()
    async with seated(gateway) as viewer:
        assert await ending(viewer) == ({"type": "end", "exit_status": status}, 1000, reason)


@pytest.mark.parametrize(
    ("failure", "code"),
    [(StreamLost("x"), 1013), (TooManyConsoles("h1", "32"), 1013), (LxdRefused("no"), 1011)],
)
async def test_a_console_that_is_lost_says_why(
    gateway: FakeGateway, failure: FleetError, code: int
) -> None:
    gateway.consoles.stream.failure = failure
    gateway.consoles.stream.ends.set()
    async with seated(gateway) as viewer:
        told, closed_with, reason = await ending(viewer)

    assert (told["type"], told["code"], closed_with) == ("error", failure.code, code)
    assert told["detail"]
    assert reason == failure.code


async def test_a_console_that_cannot_be_opened_says_why(gateway: FakeGateway) -> None:
    gateway.consoles.refusal = TooManyConsoles("h1", "32")
    async with seated(gateway) as viewer:
        told, code, _ = await ending(viewer)

    assert (told["code"], code) == ("too_many_consoles", 1013)
    assert "32" in told["detail"]


@pytest.mark.parametrize("text", ["", "ls", '{"type": "resize", "columns": 0, "rows": 1}', "{}"])
async def test_a_text_that_means_nothing_ends_the_console(gateway: FakeGateway, text: str) -> None:
    async with seated(gateway) as viewer:
        await viewer.send(text)

        told, code, _ = await ending(viewer)

    assert (told["code"], code) == ("invalid_input", 1008)


async def test_a_viewer_that_goes_leaves_the_console(gateway: FakeGateway) -> None:
    async with seated(gateway):
        await eventually(lambda: len(gateway.consoles.now_open) == 1)

    assert gateway.consoles.now_open == []


async def test_it_is_the_instance_and_the_caller_of_the_password(gateway: FakeGateway) -> None:
    async with seated(gateway):
        await eventually(lambda: gateway.consoles.opened)

    (console,) = gateway.consoles.opened
    assert (console.target.host, console.target.name, console.target.uuid) == ("h1", "web", "u1")
    assert (console.type, console.caller.principal) == ("exec", "local")


async def test_a_password_opens_one_console_of_its_instance_once_and_soon() -> None:
    clock = FakeClock()
    gateway = replace(gateway_of_vms(), settings=GUARDED, monotonic=clock.monotonic)
    async with listening(gateway.app()) as port:
        used, foreign, late = [await address(port) for _ in range(3)]
        async with connect(used):
            pass
        again = await refusal(used)
        of_another = await refusal(foreign.replace("vm-u1", "vm-u2"))
        none = await refusal(f"ws://127.0.0.1:{port}/console/vm-u1", additional_headers=KEY)
        clock.advance(31)
        too_late = await refusal(late)

    assert [again, of_another, none, too_late] == [(401, "unauthorized")] * 4


async def test_a_ticket_of_the_streams_opens_no_console_and_a_password_no_stream(
    gateway: FakeGateway,
) -> None:
    gateway.settings = GUARDED
    async with listening(gateway.app()) as port:
        base = f"127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=f"http://{base}", headers=KEY) as client:
            ticket = (await client.post("/api/ws-tickets")).json()["ticket"]
        password = (await address(port)).partition("=")[2]

        assert (await refusal(f"ws://{base}/console/vm-u1?password={ticket}"))[0] == 401
        assert (await refusal(f"ws://{base}/ws/stream?ticket={password}"))[0] == 401


async def test_a_page_of_another_origin_cannot_use_a_password(gateway: FakeGateway) -> None:
    async with listening(gateway.app()) as port:
        refused = await refusal(await address(port), origin="http://evil.example")

    assert refused == (403, "origin_not_allowed")


async def test_no_log_line_holds_a_password(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with listening(gateway.app()) as port:
        url = await address(port)
        async with connect(url):
            pass

    assert "/console/vm-u1" in caplog.text
    assert url.partition("=")[2] not in caplog.text


async def test_the_page_is_open_and_loads_nothing_from_elsewhere() -> None:
    gateway = FakeGateway(GUARDED)
    async with gateway.client("192.0.2.9") as client:
        page = await client.get("/console/vm-u1")
        files = [
            await client.get(f"/console-files/{name}") for name in ("console.js", "console.css")
        ]
        unknown = await client.get("/console-files/../settings.py")

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'; script-src 'self';" in page.headers["content-security-policy"]
    assert all(f'"../console-files/{name}"' in page.text for name in FILES)
    assert "//" not in page.text
    assert [file.status_code for file in files] == [200, 200]
    assert unknown.status_code in (401, 404)
