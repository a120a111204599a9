from __future__ import annotations

import httpx
import msgspec
import pytest

from shared.contracts.instance_config import Changes, Forward
from shared.contracts.instances import Proxy
from shared.contracts.operations import Kind
from tests.support.builders import a_description, a_documented_instance
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, view_of

PORTS = "/api/v1/vms/web/ports"
SSH = Proxy(device="ssh", listen="tcp:203.0.113.5:20001", connect="tcp:127.0.0.1:22")
OWN = Proxy(
    device="web",
    listen="tcp:0.0.0.0:80",
    connect="tcp:127.0.0.1:80",
    options={"bind": "instance"},
)
WEB = a_documented_instance("web", proxies=(SSH, OWN))


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    host = a_host_view("h1", resources=a_description(address="203.0.113.5"))
    gateway.fleet.change(hosts=[host], instances=[view_of(WEB)])
    return gateway


async def test_what_was_read_can_be_sent_back(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    read = await client.get(PORTS)

    answer = await client.put(
        PORTS, json=read.json()["data"], headers={"If-Match": read.headers["etag"]}
    )

    assert (answer.status_code, answer.json()["data"]) == (200, read.json()["data"])
    [change] = gateway.operations.submitted
    assert change.kind is Kind.UPDATE
    assert change.arguments.changes == Changes(
        forwards=(Forward(protocol="tcp", listen=20001, connect=22, count=1),)
    )
    assert change.arguments.etag == read.headers["etag"].strip('"')


async def test_the_answer_shows_the_ports_after_the_change(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    after = view_of(msgspec.structs.replace(WEB, proxies=()))
    gateway.operations.watch(lambda _: gateway.fleet.change(instances=[after]))

    answer = await client.put(PORTS, json={"forwards": []})

    assert (answer.json()["data"]["ssh"], answer.json()["data"]["forwards"]) == (None, [])


@pytest.mark.parametrize(
    ("forward", "field"),
    [
        ({}, "forwards.connect"),
        ({"connect": 0}, "forwards.connect"),
        ({"connect": 80, "protocol": "sctp"}, "forwards.protocol"),
        ({"connect": 80, "listen": "80"}, "forwards.listen"),
        ({"connect": 80, "count": 0}, "forwards.count"),
        ({"connect": 80, "to": 3}, "forwards.to"),
    ],
)
async def test_what_is_no_forward_is_refused(
    client: httpx.AsyncClient, forward: dict[str, object], field: str
) -> None:
    answer = await client.put(PORTS, json={"forwards": [forward]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert [e["field"] for e in answer.json()["error"]["details"]["errors"]] == [field]
