"""What the golden answers under `actions` and `vm-actions` do not show of either API's actions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec.structs import replace as changed

from shared.contracts.operations import Failure, State
from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.views import a_host_view, a_view, view_of
from tests.support.vms import DB, WEB

INSTANCE, VM = "/api/instances/web", "/api/v1/vms/vm-u1"
ACTIONS = [
    *[("POST", f"{INSTANCE}/{name}") for name in ("start", "stop", "restart", "pause", "resume")],
    ("DELETE", INSTANCE),
]
START = f"{INSTANCE}/start"
STARTS = pytest.mark.parametrize("start", [START, f"{VM}/start"])


@pytest.fixture
def gateway(gateway: FakeGateway) -> FakeGateway:
    gateway.fleet.change(instances=[WEB, DB], hosts=[a_host_view("h1"), a_host_view("h2")])
    return gateway


async def test_who_asks_and_under_which_id_goes_along(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.post(START, headers={"X-Request-Id": "abc-1"})

    caller = gateway.operations.submitted[0].caller
    assert (caller.principal, caller.address) == ("local", "127.0.0.1")
    assert caller.correlation_id == "abc-1"


async def test_a_restart_may_be_forced_in_the_body(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.post(f"{VM}/restart", json={"force": True})

    assert gateway.operations.submitted[0].arguments.force is True


async def test_the_answer_is_the_vm_as_it_is_now(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(instances=[view_of(changed(WEB.instance, status="Frozen"))])

    answer = await client.post(f"{VM}/pause")

    assert answer.json()["data"] == {"id": "vm-u1", "name": "Web Server", "status": "paused"}


async def test_a_vm_that_is_paused_already_is_no_error(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.ends = {"state": State.DONE, "changed": False}

    assert (await client.post(f"{VM}/pause")).status_code == 200


@STARTS
async def test_a_failure_of_the_future_is_lxds(
    gateway: FakeGateway, client: httpx.AsyncClient, start: str
) -> None:
    failure = Failure(code="of_the_future", values=["x"])
    gateway.operations.ends = {"state": State.FAILED, "failure": failure}

    answer = await client.post(start)

    assert answer.status_code == 500
    assert "LXD拒绝了请求：of_the_future: x" in answer.text


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.CANCELLED, (409, "CANCELLED")),
        (State.REJECTED, (503, "OPERATION_REFUSED")),
        (State.UNKNOWN, (500, "OPERATION_UNKNOWN")),
    ],
)
async def test_every_other_end_is_an_error_of_its_own(
    gateway: FakeGateway, client: httpx.AsyncClient, state: State, expected: tuple[int, str]
) -> None:
    gateway.operations.ends = {"state": state}

    answer = await client.post(f"{VM}/start")

    assert (answer.status_code, answer.json()["error"]["code"]) == expected


@STARTS
async def test_no_answer_is_waited_for_longer_than_the_settings_say(
    gateway: FakeGateway, start: str
) -> None:
    gateway.settings = replace(LOOPBACK, sync_wait_s=0.01)
    gateway.operations.held = asyncio.Event()

    async with gateway.client() as client:
        answer = await client.post(start)

    assert (answer.status_code, gateway.operations.waits) == (202, [0.01])


@pytest.mark.parametrize("path", ["/api/instances/db", "/api/v1/vms/vm-u2"])
async def test_the_same_key_again_tells_of_the_first_operation_though_all_is_gone(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str
) -> None:
    first = await client.delete(path, headers={"Idempotency-Key": "k"})
    gateway.fleet.change(instances=[])

    again = await client.delete(path, headers={"Idempotency-Key": "k"})

    assert (again.status_code, again.json()) == (200, first.json())
    assert len(gateway.operations.submitted) == 1


@STARTS
async def test_a_key_of_no_sensible_length_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, start: str
) -> None:
    answer = await client.post(start, headers={"Idempotency-Key": "k" * 256})

    assert answer.is_client_error
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(
    ("path", "body"),
    [(START, []), (f"{VM}/stop", []), (f"{VM}/stop", {"force": 1}), (f"{VM}/stop", {"hard": True})],
)
async def test_a_body_that_says_something_else_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str, body: object
) -> None:
    answer = await client.post(path, json=body)

    assert answer.is_client_error
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(("method", "path"), ACTIONS)
async def test_an_action_is_on_the_instance_of_the_project_that_is_named(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str
) -> None:
    gateway.fleet.known_instances = [a_view("web", project=each) for each in ("default", "shop")]

    refused = await client.request(method, path)
    done = await client.request(method, f"{path}?project=shop")

    assert (refused.status_code, refused.json()["code"]) == (409, "ambiguous_project")
    assert done.status_code == 200
    assert [change.target.project for change in gateway.operations.submitted] == ["shop"]


@pytest.mark.parametrize(
    ("ends", "version"),
    [
        ({"state": State.DONE, "sequence": 42}, "h1:42"),
        ({"state": State.FAILED, "sequence": 43}, "h1:43"),
        ({"state": State.RUNNING, "sequence": 44}, None),
        ({"state": State.REJECTED, "sequence": 0}, None),
    ],
)
async def test_an_outcome_tells_the_version_at_which_every_gateway_shows_it(
    gateway: FakeGateway, client: httpx.AsyncClient, ends: dict[str, Any], version: str | None
) -> None:
    gateway.operations.ends = ends

    answer = await client.post(START)

    assert answer.headers.get("x-fleet-version") == version
