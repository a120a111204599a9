from __future__ import annotations

import httpx

from shared.contracts.errors import HostStillOnline
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view


async def test_all_hosts_are_listed_by_id_the_absent_too(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(hosts=[a_host_view("h2", online=False, age_s=60.0), a_host_view("h1")])

    answer = await client.get("/api/hosts")

    assert [(host["host"], host["online"]) for host in answer.json()] == [
        ("h1", True),
        ("h2", False),
    ]


async def test_one_host_is_shown_with_its_figures(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/hosts/h1")

    assert (answer.status_code, answer.json()["server_version"]) == (200, "5.0.2")
    assert answer.json()["resources"]["cpu_cores"] == 4


async def test_an_unknown_host_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/hosts/nix")).status_code == 404


async def test_a_host_can_be_forgotten(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/hosts/h1")

    assert answer.json() == {"success": True, "message": "主机 h1 已移除", "data": None}
    assert gateway.hosts.forgotten == ["h1"]


async def test_a_host_that_is_online_cannot_be_forgotten(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.hosts.refusal = HostStillOnline("h1")

    answer = await client.delete("/api/hosts/h1")

    assert (answer.status_code, answer.json()["code"]) == (409, "host_still_online")
