from __future__ import annotations

from typing import Any

import httpx

from shared.contracts.operations import Failure, State
from shared.contracts.worker_api import InstanceLog
from tests.support.gateway_http import FakeGateway

LOG = "/api/v1/vms/vm-u1/log"
FAILED: dict[str, Any] = {
    "state": State.FAILED,
    "failure": Failure(code="lxd_refused", values=["exit status 1"], log="ERROR no init"),
}


async def test_the_log_is_what_the_host_tells_of_this_vm(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.logs.log = InstanceLog(text="ERROR\n\ttwo", truncated=True)

    answer = await client.get(LOG)

    assert answer.json() == {"success": True, "data": {"log": "ERROR\n\ttwo", "truncated": True}}
    assert answer.headers["cache-control"] == "no-store"
    assert [(target.host, target.uuid) for target in gateway.logs.asked] == [("h1", "u1")]
