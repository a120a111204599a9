from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.contracts.errors import FleetError, HostUnreachable, LogNotFound, WorkerOutdated
from shared.contracts.operations import Failure, State
from shared.contracts.worker_api import InstanceLog
from tests.support.gateway_http import FakeGateway

LOG = "/api/v1/vms/vm-u1/log"
FAILED: dict[str, Any] = {
    "state": State.FAILED,
    "failure": Failure(code="lxd_refused", values=["exit status 1"], log="ERROR no init"),
}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_the_log_is_what_the_host_tells_of_this_vm(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.logs.log = InstanceLog(text="ERROR\n\ttwo", truncated=True)

    answer = await client.get(LOG)

    assert answer.json() == {"success": True, "data": {"log": "ERROR\n\ttwo", "truncated": True}}
    assert answer.headers["cache-control"] == "no-store"
    assert [(target.host, target.uuid) for target in gateway.logs.asked] == [("h1", "u1")]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (LogNotFound("web"), (404, "LOG_NOT_FOUND")),
        (HostUnreachable("h1"), (503, "HOST_UNREACHABLE")),
        (WorkerOutdated("h1"), (503, "WORKER_OUTDATED")),
    ],
)
async def test_a_log_that_cannot_be_told_is_no_empty_one(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    refusal: FleetError,
    expected: tuple[int, str],
) -> None:
    gateway.logs.refusal = refusal

    assert code(await client.get(LOG)) == expected


async def test_an_unknown_vm_has_no_log(client: httpx.AsyncClient) -> None:
    assert code(await client.get("/api/v1/vms/nix/log")) == (404, "VM_NOT_FOUND")


async def test_a_start_that_failed_tells_the_last_lines(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.ends = FAILED

    answer = await client.post("/api/v1/vms/vm-u1/start")

    assert code(answer) == (500, "LXD_REFUSED")
    assert answer.json()["error"]["details"] == {"reason": "exit status 1", "log": "ERROR no init"}


async def test_so_does_its_operation(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    gateway.operations.ends = FAILED
    started = await client.post("/api/v1/vms/vm-u1/start")

    operation = (await client.get(started.headers["location"])).json()

    assert operation["failure"]["log"] == "ERROR no init"
