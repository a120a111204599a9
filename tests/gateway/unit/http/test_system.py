from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [a_host_view(lxd_connected=False)],
        [a_host_view(online=False)],
    ],
)
async def test_without_any_lxd_the_answer_is_200_and_unhealthy(
    gateway: FakeGateway, client: httpx.AsyncClient, hosts: list[object]
) -> None:
    gateway.fleet.change(hosts=hosts)  # type: ignore[arg-type]

    answer = await client.get("/api/health")

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["lxd_connected"]) == ("unhealthy", False)


async def test_the_process_is_alive_whatever_else_is_away(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.health.database = gateway.health.broker_connected = gateway.fleet.ready = False

    answer = await client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize(
    "fault", [{"broker_connected": False}, {"broker_blocked": "low on disk"}], ids=repr
)
async def test_a_gateway_is_ready_whatever_its_broker_does_but_not_healthy(
    gateway: FakeGateway, fault: dict[str, Any]
) -> None:
    gateway.health = replace(gateway.health, **fault)

    async with gateway.client() as client:
        ready, healthy = await client.get("/readyz"), await client.get("/healthz")

    assert (ready.status_code, healthy.status_code) == (200, 503)


async def test_a_gateway_that_is_not_ready_names_all_that_it_lacks(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.health.database = gateway.fleet.ready = False

    answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["detail"]) == (503, "网关未就绪：database, fleet")


async def test_a_host_can_be_forgotten(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/hosts/h1")

    assert answer.json() == {"success": True, "message": "主机 h1 已移除", "data": None}
    assert gateway.hosts.forgotten == ["h1"]
