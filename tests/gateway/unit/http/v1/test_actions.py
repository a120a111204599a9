from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec.structs import replace as changed

from shared.contracts.errors import FleetError, HostUnreachable, OperationInProgress
from shared.contracts.operations import Arguments, Failure, Kind, State
from tests.support.gateway_http import LOOPBACK, FakeGateway
from tests.support.views import view_of
from tests.support.vms import DB, WEB

VM = "/api/v1/vms/vm-u1"
ACTIONS = [
    ("POST", f"{VM}/start", Kind.START),
    ("POST", f"{VM}/stop", Kind.STOP),
    ("POST", f"{VM}/restart", Kind.RESTART),
    ("POST", f"{VM}/pause", Kind.FREEZE),
    ("POST", f"{VM}/resume", Kind.UNFREEZE),
    ("DELETE", VM, Kind.DELETE),
]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(("method", "path", "kind"), ACTIONS)
async def test_an_action_is_submitted_for_the_vm_of_the_id(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str, kind: Kind
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 200
    assert answer.headers["location"] == "/api/operations/op-1"
    assert answer.headers["x-operation-id"] == "op-1"
    [change] = gateway.operations.submitted
    assert (change.kind, change.target) == (kind, ("h1", "default", "web", "u1"))
    assert change.arguments == Arguments(force=False, stop_timeout_s=20.0)


async def test_the_answer_is_the_vm_as_it_is_now(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    paused = changed(WEB.instance, status="Frozen")
    gateway.fleet.change(instances=[view_of(paused)])

    answer = await client.post(f"{VM}/pause")

    assert answer.json() == {
        "success": True,
        "data": {"id": "vm-u1", "name": "Web Server", "status": "paused"},
    }


async def test_a_vm_that_is_deleted_is_told_by_the_name_it_had(client: httpx.AsyncClient) -> None:
    answer = await client.delete(VM)

    assert answer.json()["data"] == {"id": "vm-u1", "name": "Web Server", "status": "deleted"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{VM}/stop", {"force": True}),
        ("POST", f"{VM}/restart", {"force": True}),
        ("DELETE", f"{VM}?force=true", None),
    ],
)
async def test_force_is_handed_on(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: dict[str, bool] | None,
) -> None:
    await client.request(method, path, json=body)

    assert gateway.operations.submitted[0].arguments.force is True


async def test_a_body_of_no_length_is_no_body_whatever_it_is_called(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    headers = {"Content-Type": "application/octet-stream"}

    answer = await client.post(f"{VM}/stop", content=b"", headers=headers)

    assert answer.status_code == 200
    assert gateway.operations.submitted[0].arguments.force is False


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"{VM}/stop", {"force": "yes"}, "force"),
        (f"{VM}/stop", {"force": 1}, "force"),
        (f"{VM}/stop", {"hard": True}, "hard"),
        (f"{VM}/start", {"force": True}, "force"),
        (f"{VM}/stop", [], "body"),
    ],
)
async def test_a_body_that_says_something_else_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str, body: object, field: str
) -> None:
    answer = await client.post(path, json=body)

    assert code(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["errors"][0]["field"] == field
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("start", (400, "VM_ALREADY_RUNNING")),
        ("stop", (400, "VM_ALREADY_STOPPED")),
        ("resume", (400, "VM_ALREADY_RUNNING")),
    ],
)
async def test_what_was_so_already_has_the_documents_name(
    gateway: FakeGateway, client: httpx.AsyncClient, action: str, expected: tuple[int, str]
) -> None:
    gateway.operations.ends = {"state": State.DONE, "changed": False}

    answer = await client.post(f"{VM}/{action}")

    assert code(answer) == expected
    assert answer.headers["location"] == "/api/operations/op-1"


async def test_a_vm_that_is_paused_already_is_no_error(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.ends = {"state": State.DONE, "changed": False}

    assert (await client.post(f"{VM}/pause")).status_code == 200


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(code="instance_running", values=["web"]), (400, "VM_ALREADY_RUNNING")),
        (Failure(code="instance_not_running", values=["web"]), (400, "VM_ALREADY_STOPPED")),
        (Failure(code="instance_not_frozen", values=["web"]), (400, "VM_ALREADY_STOPPED")),
        (Failure(code="instance_not_found", values=["web"]), (404, "VM_NOT_FOUND")),
        (Failure(code="lxd_refused", values=["no space"]), (500, "LXD_REFUSED")),
        (Failure(code="step_timed_out", values=["stop"]), (504, "STEP_TIMED_OUT")),
    ],
)
async def test_a_failure_is_told_by_its_name(
    gateway: FakeGateway, client: httpx.AsyncClient, failure: Failure, expected: tuple[int, str]
) -> None:
    gateway.operations.ends = {"state": State.FAILED, "failure": failure}

    answer = await client.post(f"{VM}/restart")

    assert code(answer) == expected
    assert answer.headers["x-operation-id"] == "op-1"


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"state": State.CANCELLED}, (409, "CANCELLED")),
        ({"state": State.REJECTED}, (503, "OPERATION_REFUSED")),
        ({"state": State.UNKNOWN}, (500, "OPERATION_UNKNOWN")),
    ],
)
async def test_every_other_end_is_an_error_of_its_own(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    ends: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    gateway.operations.ends = ends

    assert code(await client.post(f"{VM}/start")) == expected


async def test_what_does_not_end_in_time_goes_on_and_says_where(gateway: FakeGateway) -> None:
    gateway.settings = replace(LOOPBACK, sync_wait_s=0.01)
    gateway.operations.held = asyncio.Event()

    async with gateway.client() as client:
        answer = await client.post("/api/v1/vms/vm-u2/start")

    assert answer.status_code == 202
    assert answer.json()["data"] == {"id": "vm-u2", "name": "db", "status": "stopped"}
    assert answer.headers["location"] == "/api/operations/op-1"


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (HostUnreachable("h1"), (503, "HOST_UNREACHABLE")),
        (OperationInProgress("web", "op-0"), (409, "OPERATION_IN_PROGRESS")),
    ],
)
async def test_a_change_that_was_not_started_is_refused(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    refusal: FleetError,
    expected: tuple[int, str],
) -> None:
    gateway.operations.refusal = refusal

    assert code(await client.post(f"{VM}/start")) == expected


async def test_an_operation_in_progress_is_named_with_its_address(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.refusal = OperationInProgress("web", "op-0")

    answer = await client.post(f"{VM}/start")

    assert answer.json()["error"]["details"] == {"instance": "web", "operationId": "op-0"}
    assert answer.headers["location"] == "/api/operations/op-0"


async def test_the_same_key_again_tells_of_the_first_operation_though_the_vm_is_gone(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    first = await client.delete("/api/v1/vms/vm-u2", headers={"Idempotency-Key": "k"})
    gateway.fleet.change(instances=[])

    again = await client.delete("/api/v1/vms/vm-u2", headers={"Idempotency-Key": "k"})

    assert (again.status_code, again.json()) == (200, first.json())
    assert len(gateway.operations.submitted) == 1


async def test_the_same_key_with_another_body_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k"}
    await client.post(f"{VM}/stop", json={"force": False}, headers=headers)

    answer = await client.post(f"{VM}/stop", json={"force": True}, headers=headers)

    assert code(answer) == (422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(("method", "path", "kind"), ACTIONS)
async def test_an_unknown_vm_cannot_be_changed(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str, kind: Kind
) -> None:
    gateway.fleet.change(instances=[DB])

    answer = await client.request(method, path)

    assert code(answer) == (404, "VM_NOT_FOUND")
    assert gateway.operations.submitted == []
