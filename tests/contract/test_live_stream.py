"""The live stream over a real server: what the document says of it, and who may watch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.documents import INSTANCES_API, code_blocks, shape, without_additions
from tests.support.gateway_http import LOOPBACK, listening
from tests.support.views import a_view
from tests.support.watching import gateway, message

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


async def test_a_viewer_of_a_host_that_is_forgotten_is_told_to_go() -> None:
    fake = gateway(QUICK)
    async with listening(fake.app()) as port, stream(port, "?host=h1") as viewer:
        await message(viewer)
        fake.fleet.change(hosts=[], instances=[])
        with pytest.raises(ConnectionClosed) as closed:
            await message(viewer)

    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "host_not_found")


async def test_what_a_viewer_says_is_ignored() -> None:
    async with listening(gateway(QUICK).app()) as port, stream(port) as viewer:
        await viewer.send("ping")
        await viewer.send(b"\x00")
        await message(viewer)
        update = await message(viewer)

    assert update["type"] == "update"
