from __future__ import annotations

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


async def test_a_gateway_is_ready_without_the_broker_but_not_healthy(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.health.broker_connected = False

    ready, healthy = await client.get("/readyz"), await client.get("/healthz")

    assert (ready.status_code, healthy.status_code) == (200, 503)
    assert healthy.json() == {"detail": "网关未就绪：broker", "code": "not_ready"}


async def test_a_gateway_without_database_and_view_is_not_ready(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.health.database = gateway.fleet.ready = False

    answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["detail"]) == (503, "网关未就绪：database, fleet")


async def test_a_gateway_whose_broker_takes_no_messages_says_why(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.health.broker_blocked = "low on disk"

    ready, healthy = await client.get("/readyz"), await client.get("/healthz")

    assert (ready.status_code, healthy.status_code) == (200, 503)
    assert healthy.json()["detail"] == "网关未就绪：broker (blocked: low on disk)"


async def test_a_host_can_be_forgotten(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/hosts/h1")

    assert answer.json() == {"success": True, "message": "主机 h1 已移除", "data": None}
    assert gateway.hosts.forgotten == ["h1"]
