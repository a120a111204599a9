"""The live stream over a real server: what the document says of it, and who may watch."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.documents import INSTANCES_API, code_blocks, shape, without_additions
from tests.support.gateway_http import LOOPBACK, listening
from tests.support.views import a_host_view, a_view, offline
from tests.support.watching import gateway, message, refusal

QUICK = replace(LOOPBACK, update_interval_s=0.5)
GUARDED = replace(LOOPBACK, token="t0ken")


def stream(port: int, query: str = "", **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{port}/ws/monitor{query}", **options)


async def test_the_message_is_the_documents_example() -> None:
    [block] = code_blocks(INSTANCES_API, language="json", heading="4.1 实时监控连接")
    example = block.json()

    async with listening(gateway(QUICK).app()) as port, stream(port) as viewer:
        update = await message(viewer)

    plain = without_additions(update, example)
    assert shape(plain) == shape(example)
    assert plain["type"] == example["type"]
    assert plain["data"] == example["data"]


async def test_an_update_comes_at_once_and_then_at_every_interval() -> None:
    async with listening(gateway(QUICK).app()) as port, stream(port) as viewer:
        await message(viewer)
        began = time.monotonic()
        for _ in range(4):
            await message(viewer)

    # Four intervals of half a second; a busy machine may be late with the first and the last.
    assert 1.3 < time.monotonic() - began < 8


async def test_a_new_viewer_sees_the_newest_state() -> None:
    fake = gateway(LOOPBACK)
    async with listening(fake.app()) as port, stream(port) as early:
        await message(early)
        fake.fleet.change(instances=[a_view("new")])
        async with stream(port) as late:
            update = await message(late)

    assert [entry["name"] for entry in update["data"]["instances"]] == ["new"]


async def test_viewers_of_the_same_share_one_encoding() -> None:
    fake = gateway(replace(LOOPBACK, update_interval_s=1.0))
    async with listening(fake.app()) as port:
        viewers = [await stream(port) for _ in range(30)]
        for _ in range(3):
            await asyncio.gather(*[message(viewer) for viewer in viewers])
        await asyncio.gather(*[viewer.close() for viewer in viewers])

    assert fake.fleet.reads <= 20


async def test_a_viewer_may_watch_one_host() -> None:
    fake = gateway(QUICK)
    fake.fleet.known_hosts = [a_host_view("h1"), a_host_view("h2")]
    fake.fleet.known_instances = [a_view(), offline(a_view("other", host="h2"), 9.0)]

    async with listening(fake.app()) as port, stream(port, "?host=h2") as viewer:
        data = (await message(viewer))["data"]

    [entry] = data["instances"]
    assert (entry["name"], entry["host"], entry["host_online"]) == ("other", "h2", False)
    assert data["host"]["hosts"] == 1


async def test_a_viewer_of_a_host_that_is_forgotten_is_told_to_go() -> None:
    fake = gateway(QUICK)
    async with listening(fake.app()) as port, stream(port, "?host=h1") as viewer:
        await message(viewer)
        fake.fleet.change(hosts=[], instances=[])
        with pytest.raises(ConnectionClosed) as closed:
            await message(viewer)

    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "host_not_found")


async def test_what_cannot_be_watched_is_refused_with_a_status() -> None:
    fake = gateway(QUICK)
    async with listening(fake.app()) as port:
        unknown = await refusal(stream(port, "?host=nix"))
        fake.fleet.ready = False
        unread = await refusal(stream(port))

    assert unknown == (404, "host_not_found")
    assert unread == (503, "fleet_view_not_ready")


async def test_what_a_viewer_says_is_ignored() -> None:
    async with listening(gateway(QUICK).app()) as port, stream(port) as viewer:
        await viewer.send("ping")
        await viewer.send(b"\x00")
        await message(viewer)
        update = await message(viewer)

    assert update["type"] == "update"


async def test_a_token_opens_the_stream() -> None:
    async with listening(gateway(GUARDED).app()) as port:
        without = await refusal(stream(port))
        async with stream(port, additional_headers={"X-API-Key": "t0ken"}) as viewer:
            update = await message(viewer)

    assert without == (401, "unauthorized")
    assert update["type"] == "update"


async def test_a_ticket_opens_one_stream_once() -> None:
    async with listening(gateway(GUARDED).app()) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            given = await client.post("/api/ws-tickets", headers={"X-API-Key": "t0ken"})
        query = f"?ticket={given.json()['ticket']}"
        async with stream(port, query) as viewer:
            update = await message(viewer)
        again = await refusal(stream(port, query))

    assert update["type"] == "update"
    assert again == (401, "unauthorized")


async def test_no_log_line_holds_a_ticket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with listening(gateway(GUARDED).app()) as port:
        await refusal(stream(port, "?host=h1&ticket=secret-ticket"))

    assert "/ws/monitor" in caplog.text
    assert "secret-ticket" not in caplog.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_page_of_another_origin_cannot_watch(origin: str) -> None:
    async with listening(gateway(QUICK).app()) as port:
        assert await refusal(stream(port, origin=origin)) == (403, "origin_not_allowed")


async def test_pages_of_our_own_and_of_allowed_origins_can_watch() -> None:
    panel = "https://panel.example"
    fake = gateway(replace(QUICK, allowed_origins=(panel,)))
    async with listening(fake.app()) as port:
        for origin in (panel, f"http://127.0.0.1:{port}"):
            async with stream(port, origin=origin) as viewer:
                assert (await message(viewer))["type"] == "update"


async def test_a_name_that_was_bent_to_a_tokenless_gateway_cannot_watch() -> None:
    bent = "evil.example:8000"
    async with listening(gateway(QUICK).app()) as port:
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://{bent}/ws/monitor", host="127.0.0.1", port=port, origin=f"http://{bent}"
            )

    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "host_header_not_allowed"
