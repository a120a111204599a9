from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.support.gateway_http import FakeGateway


def show(gateway: FakeGateway, sequence: int) -> None:
    gateway.fleet.outcomes["h1"] = sequence
    gateway.fleet.change()


async def test_a_read_waits_for_the_change_that_the_caller_made_elsewhere(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    watched = gateway.fleet.watched
    asyncio.get_running_loop().call_later(0.02, show, gateway, 41)
    asyncio.get_running_loop().call_later(0.05, show, gateway, 42)

    answer = await client.get("/api/instances", headers={"X-Fleet-Version": "h1:42"})

    assert answer.status_code == 200
    assert gateway.fleet.outcomes == {"h1": 42}
    assert gateway.fleet.watched == watched


async def test_a_change_that_does_not_come_is_waited_for_half_a_second(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    watched, began = gateway.fleet.watched, time.monotonic()

    answer = await client.get("/api/instances", headers={"X-Fleet-Version": "h1:99"})

    assert answer.status_code == 200
    assert 0.4 < time.monotonic() - began < 2
    assert gateway.fleet.watched == watched


@pytest.mark.parametrize("version", ["new", "h1:", ":4", "h1:x", "7"])
async def test_a_version_that_no_gateway_gave_is_refused(
    client: httpx.AsyncClient, version: str
) -> None:
    answer = await client.get("/api/instances", headers={"X-Fleet-Version": version})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "X-Fleet-Version"
