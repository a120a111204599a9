from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from services.gateway.vms.templates import Template
from shared.contracts.instance_config import Changes, ImageSource, Limits
from tests.support.builders import a_description
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, view_of
from tests.support.vms import WEB

VM = "/api/v1/vms/vm-u1"
LIMITED = Limits(ingress=100_000_000, egress=50_000_000, read=30_000_000, processes=500)
SHOWN = {
    "network": {"ingressMbit": 100, "egressMbit": 50},
    "disk": {"readMbyte": 30, "writeMbyte": None},
    "processes": 500,
}
MY_VM = {"name": "my-vm", "template": "ubuntu20.04", "cpu": 1, "memory": 64, "disk": 1}


@pytest.fixture
def limited(gateway: FakeGateway) -> FakeGateway:
    """The gateway, whose `vm-u1` has limits."""
    gateway.fleet.known_instances = [view_of(replace(WEB.instance, limits=LIMITED))]
    return gateway


async def test_limits_are_shown(limited: FakeGateway, client: httpx.AsyncClient) -> None:
    answer = await client.get(VM)

    assert answer.json()["data"]["limits"] == SHOWN


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ({"network": {"ingressMbit": 20}}, Limits(ingress=20_000_000)),
        ({"network": {"egressMbit": 0.5}}, Limits(egress=500_000)),
        ({"network": {"ingressMbit": None, "egressMbit": 0}}, Limits(ingress=0, egress=0)),
        ({"disk": {"readMbyte": 30, "writeMbyte": 5}}, Limits(write=5_000_000)),
        ({"processes": None}, Limits(processes=0)),
        ({"processes": 7, "network": {}}, Limits(processes=7)),
    ],
)
async def test_what_differs_is_changed_and_null_takes_a_limit_away(
    limited: FakeGateway, client: httpx.AsyncClient, body: dict[str, Any], limits: Limits
) -> None:
    answer = await client.put(VM, json={"limits": body})

    assert answer.status_code == 200
    [change] = limited.operations.submitted
    assert change.arguments.changes == Changes(limits=limits)


@pytest.mark.parametrize("body", [SHOWN, {}, None, {"network": {"ingressMbit": 100.0}}])
async def test_what_is_shown_can_be_sent_back(
    limited: FakeGateway, client: httpx.AsyncClient, body: object
) -> None:
    answer = await client.put(VM, json={"limits": body})

    assert answer.status_code == 200
    assert limited.operations.submitted == []


async def test_no_rule_is_applied_to_limits_that_are_repeated(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    beyond = Limits(ingress=1, write=10**16, processes=2**40)
    gateway.fleet.known_instances = [view_of(replace(WEB.instance, limits=beyond))]
    shown = (await client.get(VM)).json()["data"]["limits"]

    answer = await client.put(VM, json={"limits": shown | {"processes": 7}})

    assert answer.status_code == 200
    [change] = gateway.operations.submitted
    assert change.arguments.changes == Changes(limits=Limits(processes=7))


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"network": {"ingressMbit": -1}}, "limits.network.ingressMbit"),
        ({"network": {"egressMbit": 0.0001}}, "limits.network.egressMbit"),
        ({"network": {"egressMbit": "20"}}, "limits.network.egressMbit"),
        ({"network": {"egressMbit": True}}, "limits.network.egressMbit"),
        ({"network": {"maxMbit": 1}}, "limits.network.maxMbit"),
        ({"disk": {"readMbyte": 10**10}}, "limits.disk.readMbyte"),
        ({"processes": 1.5}, "limits.processes"),
        ({"processes": -1}, "limits.processes"),
        ({"network": None}, "limits.network"),
    ],
)
async def test_what_is_no_limit_is_refused_and_named(
    gateway: FakeGateway, client: httpx.AsyncClient, limits: dict[str, Any], field: str
) -> None:
    answer = await client.put(VM, json={"limits": limits})

    assert answer.status_code == 400
    [wrong] = answer.json()["error"]["details"]["errors"]
    assert wrong["field"] == field
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ({}, Limits()),
        ({"limits": {"network": {"egressMbit": 50}}}, Limits(egress=50_000_000)),
        ({"limits": {"disk": {"readMbyte": None}, "processes": 9}}, Limits(read=0, processes=9)),
    ],
)
async def test_a_new_vm_is_ordered_with_its_limits_and_shown_with_them(
    gateway: FakeGateway, client: httpx.AsyncClient, given: dict[str, Any], ordered: Limits
) -> None:
    gateway.templates.append(Template("ubuntu20.04", "", (ImageSource(alias="busybox"),)))
    gateway.fleet.change(hosts=[a_host_view("h1", resources=a_description())])

    created = await client.post("/api/v1/vms", json=MY_VM | given)

    assert created.status_code == 201, created.text
    [change] = gateway.operations.submitted
    assert change.arguments.create is not None
    assert change.arguments.create.limits == ordered
    shown = (await client.get(f"/api/v1/vms/{created.json()['data']['id']}")).json()["data"]
    assert shown["limits"]["processes"] == (ordered.processes or None)
    assert shown["limits"]["disk"] == {"readMbyte": None, "writeMbyte": None}
