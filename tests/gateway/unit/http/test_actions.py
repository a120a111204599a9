from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared.contracts.errors import (
    BrokerUnavailable,
    FleetError,
    HostBusy,
    HostUnreachable,
    InstanceReplaced,
    LxdUnavailable,
    OperationInProgress,
    OutcomeUnknown,
)
from shared.contracts.operations import Arguments, Failure, Kind, State
from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.views import a_view

ACTIONS = [
    ("POST", "/api/instances/test1/start", Kind.START, "启动成功"),
    ("POST", "/api/instances/test1/stop", Kind.STOP, "停止成功"),
    ("POST", "/api/instances/test1/restart", Kind.RESTART, "重启成功"),
    ("POST", "/api/instances/test1/pause", Kind.FREEZE, "暂停成功"),
    ("POST", "/api/instances/test1/resume", Kind.UNFREEZE, "恢复成功"),
    ("DELETE", "/api/instances/test1", Kind.DELETE, "删除成功"),
]
START = "/api/instances/test1/start"


@pytest.mark.parametrize(("method", "path", "kind", "text"), ACTIONS)
async def test_an_action_is_submitted_and_its_success_told(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str, kind: Kind, text: str
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": f"实例 test1 {text}", "data": None}
    assert answer.headers["location"] == "/api/operations/op-1"
    assert answer.headers["x-operation-id"] == "op-1"
    [change] = gateway.operations.submitted
    assert (change.kind, change.target.name) == (kind, "test1")
    assert change.arguments == Arguments(force=False, stop_timeout_s=20.0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/instances/test1"),
        ("POST", "/api/instances/test1/stop"),
        ("POST", "/api/instances/test1/restart"),
    ],
)
async def test_force_is_handed_on(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str
) -> None:
    await client.request(method, f"{path}?force=true")

    assert gateway.operations.submitted[0].arguments.force is True


async def test_who_asks_and_under_which_id_goes_along(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.post(START, headers={"X-Request-Id": "abc-1"})

    caller = gateway.operations.submitted[0].caller
    assert (caller.principal, caller.address) == ("local", "127.0.0.1")
    assert caller.correlation_id == "abc-1"


@pytest.mark.parametrize(
    ("action", "text"),
    [("start", "实例 test1 已在运行"), ("stop", "实例 test1 已经停止")],
)
async def test_an_instance_that_is_as_asked_already_is_a_success_that_says_so(
    gateway: FakeGateway, client: httpx.AsyncClient, action: str, text: str
) -> None:
    gateway.operations.ends = {"state": State.DONE, "changed": False}

    answer = await client.post(f"/api/instances/test1/{action}")

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": text, "data": None}


@pytest.mark.parametrize(
    ("failure", "status", "detail"),
    [
        (Failure(code="instance_running", values=["test1"]), 409, "实例 test1 正在运行"),
        (Failure(code="instance_not_running", values=["test1"]), 409, "实例 test1 未在运行"),
        (Failure(code="instance_not_found", values=["test1"]), 404, "实例 test1 不存在"),
        (Failure(code="lxd_refused", values=["no space"]), 500, "LXD拒绝了请求：no space"),
        (Failure(code="step_timed_out", values=["stop"]), 504, "stop 超时，没有生效"),
        (Failure(code="of_the_future", values=["x"]), 500, "LXD拒绝了请求：of_the_future: x"),
    ],
)
async def test_a_failure_is_told_by_its_code(
    gateway: FakeGateway, client: httpx.AsyncClient, failure: Failure, status: int, detail: str
) -> None:
    gateway.operations.ends = {"state": State.FAILED, "failure": failure}

    answer = await client.post(START)

    assert (answer.status_code, answer.json()["detail"]) == (status, detail)
    assert answer.headers["location"] == "/api/operations/op-1"


@pytest.mark.parametrize(
    ("ends", "status", "code"),
    [
        ({"state": State.CANCELLED}, 409, "cancelled"),
        ({"state": State.REJECTED}, 503, "operation_refused"),
        ({"state": State.UNKNOWN}, 500, "operation_unknown"),
    ],
)
async def test_every_other_end_is_an_error_of_its_own(
    gateway: FakeGateway, client: httpx.AsyncClient, ends: dict[str, Any], status: int, code: str
) -> None:
    gateway.operations.ends = ends

    answer = await client.post(START)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["x-operation-id"] == "op-1"


async def test_what_does_not_end_in_time_goes_on_and_says_where(gateway: FakeGateway) -> None:
    gateway.settings = replace(LOOPBACK, sync_wait_s=0.01)
    gateway.operations.held = asyncio.Event()

    async with gateway.client() as client:
        answer = await client.post(START)

    assert answer.status_code == 202
    assert answer.json() == {
        "success": False,
        "message": "实例 test1 仍在启动，操作 op-1",
        "data": None,
    }
    assert answer.headers["location"] == "/api/operations/op-1"
    assert gateway.operations.waits == [0.01]


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (HostUnreachable("h1"), 503, "host_unreachable"),
        (LxdUnavailable("h1"), 503, "lxd_unavailable"),
        (BrokerUnavailable(), 503, "broker_unavailable"),
        (InstanceReplaced("test1"), 409, "instance_replaced"),
    ],
)
async def test_a_change_that_was_not_started_is_refused_at_once(
    gateway: FakeGateway, client: httpx.AsyncClient, refusal: FleetError, status: int, code: str
) -> None:
    gateway.operations.refusal = refusal

    answer = await client.post(START)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert gateway.operations.waits == []


@pytest.mark.parametrize(
    ("refusal", "retry_after"),
    [(HostBusy("h1"), "1"), (OutcomeUnknown("h1"), None), (InstanceReplaced("test1"), None)],
)
async def test_only_what_may_be_repeated_says_when(
    gateway: FakeGateway, client: httpx.AsyncClient, refusal: FleetError, retry_after: str | None
) -> None:
    gateway.operations.refusal = refusal

    answer = await client.post(START)

    assert answer.headers.get("retry-after") == retry_after


async def test_an_instance_in_use_is_refused_with_the_other_operations_address(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.refusal = OperationInProgress("test1", "op-0")

    answer = await client.post(START)

    assert answer.status_code == 409
    assert "op-0" in answer.json()["detail"]
    assert answer.headers["location"] == "/api/operations/op-0"


async def test_the_same_key_again_returns_the_first_operation(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    first = await client.delete("/api/instances/test1", headers={"Idempotency-Key": "k"})
    gateway.fleet.change(instances=[])

    again = await client.delete("/api/instances/test1", headers={"Idempotency-Key": "k"})

    assert (again.status_code, again.json()) == (200, first.json())
    assert len(gateway.operations.submitted) == 1


async def test_the_same_key_with_another_request_is_refused(client: httpx.AsyncClient) -> None:
    await client.post(START, headers={"Idempotency-Key": "k"})

    answer = await client.post("/api/instances/test1/stop", headers={"Idempotency-Key": "k"})

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_of_no_sensible_length_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, key: str
) -> None:
    answer = await client.post(START, headers={"Idempotency-Key": key})

    assert answer.status_code == 422
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "不是有效的JSON"),
        (b'{"force": true}', "不是已知的字段"),
        (b"[]", "须为JSON对象"),
    ],
)
async def test_a_body_that_says_something_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, body: bytes, message: str
) -> None:
    answer = await client.post(START, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == message
    assert gateway.operations.submitted == []


async def test_a_wrong_type_is_refused(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/instances/test1?force=perhaps")

    assert answer.status_code == 422
    assert answer.json() == {
        "detail": "force：须为 true 或 false",
        "code": "invalid_input",
        "errors": [{"field": "force", "message": "须为 true 或 false"}],
    }
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(("method", "path"), [action[:2] for action in ACTIONS])
async def test_an_action_is_on_the_instance_of_the_project_that_is_named(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str
) -> None:
    twins = [a_view("test1", project=each) for each in ("default", "shop")]
    gateway.fleet.known_instances = twins

    refused = await client.request(method, path)
    done = await client.request(method, f"{path}?project=shop")

    assert (refused.status_code, refused.json()["code"]) == (409, "ambiguous_project")
    assert done.status_code == 200
    assert [change.target.project for change in gateway.operations.submitted] == ["shop"]


async def test_an_unknown_instance_cannot_be_changed(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/api/instances/nix/start")

    assert answer.status_code == 404
    assert gateway.operations.submitted == []


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
