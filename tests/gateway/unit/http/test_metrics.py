from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx

from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.views import a_view


async def test_the_gateways_own_metrics_can_be_had_alone(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics/gateway")

    assert "process_resident_memory_bytes" in answer.text
    assert "lxd_procs_total" not in answer.text


async def test_while_the_fleet_is_being_read_the_gateway_tells_of_itself_only(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.ready = False

    answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert "lxdfleet_broker_connected" in answer.text
    assert "lxdfleet_hosts" not in answer.text
    assert (await client.get("/metrics/hosts/h1")).status_code == 503
    assert (await client.get("/api/prometheus/targets")).status_code == 503


async def test_each_target_can_be_scraped(client: httpx.AsyncClient) -> None:
    targets = (await client.get("/api/prometheus/targets")).json()

    for target in targets:
        scraped = await client.get(target["labels"]["__metrics_path__"])
        assert scraped.status_code == 200
        assert "# TYPE" in scraped.text


async def test_metrics_need_the_token_as_any_read_does() -> None:
    gateway = FakeGateway(settings=replace(LOOPBACK, token="s3cret"))
    paths = ("/metrics", "/metrics/gateway", "/metrics/hosts/h1", "/api/prometheus/targets")
    bearer = {"authorization": "Bearer s3cret"}

    async with gateway.client() as client:
        without = [(await client.get(path)).status_code for path in paths]
        with_it = [(await client.get(path, headers=bearer)).status_code for path in paths]

    assert without == [401] * 4
    assert with_it == [200] * 4


async def test_others_are_served_while_a_scrape_is_written(gateway: FakeGateway) -> None:
    gateway.fleet.change(instances=[a_view(f"i{n}") for n in range(5000)])
    ended: list[str] = []

    async with gateway.client() as client:

        async def get(path: str) -> None:
            await client.get(path)
            ended.append(path)

        await asyncio.gather(get("/metrics"), get("/livez"))

    assert ended == ["/livez", "/metrics"]
