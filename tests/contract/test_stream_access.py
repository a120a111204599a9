"""Who may watch either stream, over a real server; the golden files under `ws` have refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.gateway_http import LOOPBACK, listening
from tests.support.watching import gateway, message, refusal

GUARDED = replace(LOOPBACK, token="t0ken")
KEY = {"X-API-Key": "t0ken"}
PANEL = "https://panel.example"

pytestmark = pytest.mark.parametrize("path", ["/ws/monitor?host=h1", "/ws/stream?topic=hosts"])


def stream(port: int, path: str, **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{port}{path}", **options)


async def test_a_token_opens_the_stream(path: str) -> None:
    async with listening(gateway(GUARDED).app()) as port:
        without = await refusal(stream(port, path))
        async with stream(port, path, additional_headers=KEY) as viewer:
            first = await message(viewer)

    assert without == (401, "unauthorized")
    assert first["type"] in {"update", "state"}


async def test_a_ticket_opens_one_stream_once(path: str) -> None:
    async with listening(gateway(GUARDED).app()) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            given = await client.post("/api/ws-tickets", headers=KEY)
        with_ticket = f"{path}&ticket={given.json()['ticket']}"
        async with stream(port, with_ticket) as viewer:
            first = await message(viewer)
        again = await refusal(stream(port, with_ticket))

    assert first["type"] in {"update", "state"}
    assert again == (401, "unauthorized")


async def test_no_log_line_holds_a_ticket(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with listening(gateway(GUARDED).app()) as port:
        await refusal(stream(port, f"{path}&ticket=secret-ticket"))

    assert path.partition("?")[0] in caplog.text
    assert "secret-ticket" not in caplog.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_page_of_another_origin_cannot_watch(path: str, origin: str) -> None:
    async with listening(gateway().app()) as port:
        assert await refusal(stream(port, path, origin=origin)) == (403, "origin_not_allowed")


async def test_pages_of_our_own_and_of_allowed_origins_can_watch(path: str) -> None:
    fake = gateway(replace(LOOPBACK, allowed_origins=(PANEL,)))
    async with listening(fake.app()) as port:
        for origin in (PANEL, f"http://127.0.0.1:{port}"):
            async with stream(port, path, origin=origin) as viewer:
                assert (await message(viewer))["type"] in {"update", "state"}


async def test_a_name_that_was_bent_to_a_tokenless_gateway_cannot_watch(path: str) -> None:
    bent = "evil.example:8000"
    async with listening(gateway().app()) as port:
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://{bent}{path}", host="127.0.0.1", port=port, origin=f"http://{bent}"
            )

    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "host_header_not_allowed"
