from __future__ import annotations

import asyncio

import httpx
import pytest

from services.gateway.operations.store import OperationFilter
from shared.contracts.operations import Failure, State
from tests.support.gateway_http import FakeGateway


@pytest.fixture
async def begun(gateway: FakeGateway, client: httpx.AsyncClient) -> str:
    """Leaves one operation that has not ended."""
    answer = await client.post("/api/instances/test1/start")
    gateway.operations.end("op-1", state=State.RUNNING)
    return str(answer.headers["location"])


@pytest.mark.parametrize("operation_id", ["%00", "a%0Ab", "x" * 256])
async def test_what_no_database_could_keep_is_no_id(
    client: httpx.AsyncClient, operation_id: str
) -> None:
    assert (await client.get(f"/api/operations/{operation_id}")).status_code == 422


async def test_the_wait_ends_with_the_operation(
    gateway: FakeGateway, client: httpx.AsyncClient, begun: str
) -> None:
    gateway.operations.held = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, gateway.operations.held.set)

    answer = await client.get(f"{begun}?wait=30")

    assert answer.json()["state"] == "done"


@pytest.mark.parametrize("wait", ["-1", "60.5", "nan", "inf", "long", ""])
async def test_a_wait_beyond_its_bounds_is_refused(
    client: httpx.AsyncClient, begun: str, wait: str
) -> None:
    answer = await client.get(f"{begun}?wait={wait}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "wait"


async def test_operations_of_one_project_can_be_listed(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/api/operations?instance=test1&project=shop")

    assert answer.status_code == 200
    assert gateway.operations.wanted == [OperationFilter(instance="test1", project="shop")]


async def test_the_newest_operations_that_fit_are_listed(
    gateway: FakeGateway, client: httpx.AsyncClient, begun: str
) -> None:
    await client.post("/api/instances/test1/stop")

    answer = await client.get("/api/operations?host=h1&instance=test1&state=done&kind=stop&limit=5")

    assert [entry["id"] for entry in answer.json()] == ["op-2", "op-1"]
    assert gateway.operations.wanted == [OperationFilter("h1", "test1", "done", "stop", 5)]


@pytest.mark.parametrize(
    "query", ["state=over", "kind=explode", "limit=0", "limit=1001", "limit=x"]
)
async def test_a_filter_that_nothing_could_fit_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/api/operations?{query}")

    assert answer.status_code == 422
    assert gateway.operations.wanted == []


async def test_an_unknown_operation_is_not_waited_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/operations/nix?wait=1")

    assert (answer.status_code, answer.json()["detail"]) == (404, "操作 nix 不存在")


@pytest.mark.parametrize("field", ["host", "instance"])
@pytest.mark.parametrize("value", ["%00", "a.b", "x" * 64])
async def test_a_filter_that_can_fit_nothing_is_refused(
    client: httpx.AsyncClient, field: str, value: str
) -> None:
    answer = await client.get(f"/api/operations?{field}={value}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("path", ["/api/instances/test1/start", "/api/v1/vms/test1/start"])
async def test_a_failure_that_names_another_operation_has_the_address_of_its_own_only(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str
) -> None:
    other = Failure(code="operation_in_progress", values=["test1", "op-other"])
    gateway.operations.ends = {"state": State.FAILED, "failure": other}

    answer = await client.post(path)

    assert answer.status_code == 409
    assert answer.headers.get_list("location") == ["/api/operations/op-1"]
