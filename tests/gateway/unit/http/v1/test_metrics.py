from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from tests.support.builders import a_documented_instance, an_instance_sample
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view, view_of
from tests.support.vms import DB

METRICS = "/api/v1/vms/vm-u1/metrics"
MEASURED = a_view(
    "web",
    uuid="u1",
    sample=an_instance_sample(
        "web", cpu_percent=45.2, disk_read=1024000, disk_write=512000, network_rx=7
    ),
)


@pytest.fixture
def gateway(gateway: FakeGateway) -> FakeGateway:
    gateway.fleet.known_instances = [MEASURED, DB]
    return gateway


@pytest.mark.parametrize(
    "period", ["from=2026-01-23T11:30:01Z", "to=2026-01-23T11:29:59Z", "interval=5m"]
)
async def test_a_measurement_outside_of_the_period_is_no_history(
    client: httpx.AsyncClient, period: str
) -> None:
    data = (await client.get(f"{METRICS}?{period}")).json()["data"]

    assert data["cpu"] == {"usage": 45.2, "history": []}


@pytest.mark.parametrize(
    ("query", "field"),
    [("from=x", "from"), ("to=x", "to"), ("interval=1s", "interval"), (f"from={'9' * 65}", "from")],
)
async def test_what_cannot_be_measured_so_is_refused_with_its_field(
    client: httpx.AsyncClient, query: str, field: str
) -> None:
    answer = await client.get(f"{METRICS}?{query}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["errors"][0]["field"] == field


async def test_what_was_not_measured_is_zero_and_named(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    unlimited = a_documented_instance("web", uuid="u1", memory_limit=None, root_size=None)
    unmeasured = replace(view_of(unlimited), encoded_sample=None, sampled_at=None)
    gateway.fleet.change(instances=[unmeasured], hosts=[a_host_view(sample=None)])

    data = (await client.get(METRICS)).json()["data"]

    assert data["memory"] == {"used": 0, "total": 0, "usage": 0.0}
    assert data["unknown"] == [
        "cpu.usage",
        "memory.used",
        "disk.read",
        "disk.write",
        "disk.usage",
        "network.rx",
        "network.tx",
        "memory.total",
    ]
