from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from services.gateway.http.v1.bulk import AT_ONCE
from shared.contracts.operations import Arguments, Failure, Kind, State
from tests.support.gateway_http import FakeGateway
from tests.support.polling import eventually
from tests.support.views import a_view

ACTIONS = "/api/v1/vms/actions"


async def act(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post(ACTIONS, json={"action": "start"} | body)


async def test_every_vm_gets_an_operation_and_a_result(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await act(client, action="stop", ids=["vm-u1", "h2:db", "vm-u1"], force=True)

    data = answer.json()["data"]
    assert answer.status_code == 200
    assert [(r["id"], r["name"], r["success"], r["state"]) for r in data["results"]] == [
        ("vm-u1", "Web Server", True, "done"),
        ("vm-u2", "db", True, "done"),
    ]
    assert {change.target.uuid for change in gateway.operations.submitted} == {"u1", "u2"}
    assert {change.kind for change in gateway.operations.submitted} == {Kind.STOP}
    assert gateway.operations.submitted[0].arguments == Arguments(force=True)
    assert (data["succeeded"], data["failed"], data["unfinished"]) == (2, 0, 0)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"status": "stopped"}, ["vm-u2"]),
        ({"host": "h2"}, ["vm-u2", "vm-u3"]),
        ({"label": ["env=prod"]}, ["vm-u2"]),
        ({"search": "shop"}, ["vm-u1"]),
        ({"type": "virtual-machine", "project": "p"}, ["vm-u3"]),
        ({"search": "nix"}, []),
    ],
)
async def test_a_selector_chooses_as_the_list_does(
    client: httpx.AsyncClient, selector: dict[str, Any], expected: list[str]
) -> None:
    answer = await act(client, selector=selector)

    assert [result["id"] for result in answer.json()["data"]["results"]] == expected


async def test_no_failure_hides_another(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    why = Failure(code="lxd_refused", values=["no"])
    gateway.operations.ends = {"state": State.FAILED, "failure": why}

    answer = await act(client, ids=["nix", "web", "vm-u1"])

    data = answer.json()["data"]
    assert [result["error"]["code"] for result in data["results"]] == [
        "VM_NOT_FOUND",
        "AMBIGUOUS_VM",
        "LXD_REFUSED",
    ]
    assert (data["succeeded"], data["failed"]) == (0, 3)


async def test_only_a_few_are_worked_on_at_a_time(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    many = [a_view(f"c{number}") for number in range(AT_ONCE + 5)]
    gateway.fleet.change(instances=many)
    gateway.operations.held = asyncio.Event()

    asking = asyncio.create_task(act(client, selector={"host": "h1"}))
    await eventually(lambda: len(gateway.operations.waits) >= AT_ONCE)
    begun = len(gateway.operations.submitted)
    gateway.operations.held.set()
    answer = await asking

    assert begun == AT_ONCE
    assert answer.json()["data"]["succeeded"] == AT_ONCE + 5


async def test_the_same_key_gives_no_vm_two_operations(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    client.headers["Idempotency-Key"] = "night"

    first = await act(client, action="delete", ids=["vm-u1", "vm-u2"])
    gateway.fleet.change(instances=[])
    second = await act(client, action="delete", ids=["vm-u1", "vm-u2"])

    def operations(answer: httpx.Response) -> list[str]:
        return [result["operation"] for result in answer.json()["data"]["results"]]

    assert operations(first) == operations(second) == ["op-1", "op-2"]
    assert len(gateway.operations.submitted) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["vm-u1"], "selector": {"host": "h1"}},
        {"selector": {}},
        {"selector": {"label": []}},
        {"selector": {"name": "x"}},
        {"ids": ["vm-u1"], "action": "explode"},
        {"ids": [f"vm-{number}" for number in range(1001)]},
    ],
)
async def test_what_names_no_vms_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await act(client, **body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "值无效" not in answer.text
    assert gateway.operations.submitted == []


async def test_a_selector_of_too_many_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(instances=[a_view(f"c{number}") for number in range(1001)])

    answer = await act(client, selector={"host": "h1"})

    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert gateway.operations.submitted == []
