from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from services.gateway.http.request_models.vm_creation import VmCreation
from services.gateway.vms.templates import Template
from shared.contracts.hosts import Image, Network, ServedImage
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import Failure, Kind, State
from tests.support.builders import GIB, MIB, a_description, a_documented_instance
from tests.support.documents import VMS_API, code_blocks
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view
from tests.support.vms import code

VMS = "/api/v1/vms"
BRIDGES = [Network(name=name, type="bridge", managed=False) for name in ("br0", "br1")]
UBUNTU = Template("ubuntu20.04", "ubuntu20.04", (ImageSource(alias="busybox"),))
MY_VM = {"name": "my-vm", "template": "ubuntu20.04", "cpu": 2, "memory": 2048, "disk": 20}


@pytest.fixture
def gateway() -> FakeGateway:
    """Host h1 with room, two bridges and the instance `web`, and a template."""
    gateway = FakeGateway(templates=[UBUNTU])
    host = a_host_view("h1", resources=a_description(networks=BRIDGES))
    gateway.fleet.change(hosts=[host], instances=[a_view("web")])
    return gateway


async def create(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await client.post(VMS, json=MY_VM | more)


async def test_the_documents_request_gets_the_documents_answer(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    request, example = code_blocks(VMS_API, language="json", heading="POST /api/v1/vms")

    answer = await client.post(VMS, json=request.json())

    assert answer.status_code == 201
    shown, wanted = answer.json(), example.json()
    assert shown["success"] is True
    assert {**shown["data"], "id": ""}.items() >= {**wanted["data"], "id": ""}.items()
    assert answer.headers["location"] == f"{VMS}/{shown['data']['id']}"
    [change] = gateway.operations.submitted
    order = change.arguments.create
    assert order is not None
    assert shown["data"]["id"] == f"vm-{change.target.uuid}"
    assert (change.kind, change.target.host, change.target.name) == (Kind.CREATE, "h1", "my-vm")
    assert (order.cpu, order.memory, order.disk) == (2, 2048 * MIB, 20 * GIB)
    assert (order.network, order.auto_start) == ("br0", False)


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"cpu": 0, "memory": "2048", "disk": 0}, ["cpu", "memory", "disk"]),
        ({"cpu": True, "autoStart": "yes"}, ["cpu", "autoStart"]),
        ({"size": 3}, ["size"]),
        ({"network": {"type": "bridge"}}, ["network"]),
        ({"network": {"type": "bridge", "name": "br0"}}, ["network"]),
        ({"network": {"type": "tap", "bridge": "br0"}}, ["network.type"]),
        ({"network": "br0"}, ["network"]),
        ({"sshKeys": ["ssh-rsa"]}, ["sshKeys"]),
        ({"labels": {"a b": "c"}}, ["labels.a b.[key]"]),
        ({"rootPassword": "with space"}, ["rootPassword"]),
        ({"placement": "luck", "type": "vm", "ports": -1}, ["placement", "type", "ports"]),
    ],
)
async def test_all_that_is_wrong_is_told_at_once(
    gateway: FakeGateway, client: httpx.AsyncClient, wrong: dict[str, Any], fields: list[str]
) -> None:
    answer = await create(client, **wrong)

    assert code(answer) == (400, "VALIDATION_ERROR")
    told = [entry["field"] for entry in answer.json()["error"]["details"]["errors"]]
    assert sorted(told) == sorted(fields)
    assert "值无效" not in answer.text
    assert gateway.operations.submitted == []


async def test_no_connected_host_is_a_503(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    away = a_host_view("h1", resources=a_description(), online=False, lxd_connected=False)
    gateway.fleet.change(hosts=[away])

    assert code(await create(client)) == (503, "LXD_UNAVAILABLE")
    assert code(await create(client, host="h1")) == (503, "HOST_UNREACHABLE")


async def test_the_same_key_creates_one_vm(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    client.headers["Idempotency-Key"] = "order-7"

    first = await create(client)
    second = await create(client)
    other = await create(client, cpu=3)

    assert first.json() == second.json()
    assert len(gateway.operations.submitted) == 1
    assert code(other) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_a_repeated_request_tells_what_became_of_the_first(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    client.headers["Idempotency-Key"] = "order-7"
    await create(client)
    made = a_documented_instance("my-vm", status="Stopped")
    gateway.operations.end("op-1", state=State.DONE, after=made)

    done = (await create(client)).json()["data"]

    assert (done["status"], done["progress"]) == ("stopped", 100)


async def test_a_vm_that_is_being_created_is_listed_and_found(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    created = (await create(client, labels={"a": "b"})).json()["data"]
    gateway.operations.end("op-1", state=State.RUNNING, progress=40)

    listed = (await client.get(f"{VMS}?status=creating")).json()["data"]["vms"]
    one = (await client.get(f"{VMS}/{created['id']}")).json()["data"]
    by_name = (await client.get(f"{VMS}/my-vm")).json()["data"]
    status = (await client.get(f"{VMS}/{created['id']}/status")).json()["data"]

    assert listed == [one] == [by_name]
    assert (one["status"], one["progress"], one["operation"]) == ("creating", 40, "op-1")
    assert one["os"] == "ubuntu20.04"
    assert (one["cpu"], one["memory"], one["disk"], one["labels"]) == (2, 2048, 20, {"a": "b"})
    assert status["status"] == "creating"


def ended(gateway: FakeGateway, uuid: str, **changes: Any) -> None:
    """Let the first operation end, under the id that a creation has."""
    operation = gateway.operations.end("op-1", **changes)
    gateway.operations.known[uuid] = msgspec.structs.replace(operation, operation_id=uuid)


async def test_a_vm_that_could_not_be_created_is_in_no_list_and_says_why(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    created = (await create(client)).json()["data"]
    why = Failure(code="lxd_refused", values=["disk quota exceeded"])

    ended(gateway, created["id"].removeprefix("vm-"), state=State.FAILED, failure=why)

    listed = (await client.get(VMS)).json()["data"]["vms"]
    one = (await client.get(f"{VMS}/{created['id']}")).json()["data"]
    assert [entry["name"] for entry in listed] == ["web"]
    assert (one["status"], one["error"]) == ("error", "LXD拒绝了请求：disk quota exceeded")


async def test_a_vm_that_was_created_and_is_gone_is_not_found(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    created = (await create(client)).json()["data"]

    ended(gateway, created["id"].removeprefix("vm-"), state=State.DONE)

    assert code(await client.get(f"{VMS}/{created['id']}")) == (404, "VM_NOT_FOUND")
    assert code(await client.get(f"{VMS}/vm-nix")) == (404, "VM_NOT_FOUND")


async def test_the_operation_says_why_it_was_placed_there(client: httpx.AsyncClient) -> None:
    created = await create(client)

    operation = await client.get(f"/api/operations/{created.headers['x-operation-id']}")

    assert "of 1 able" in operation.json()["placement"]


async def test_what_image_servers_have_is_listed_and_can_be_created(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    types = ("container", "virtual-machine")
    image = ServedImage(aliases=("alpine/3.22",), types=types, os="alpine3.22")
    [host] = gateway.fleet.known_hosts
    gateway.fleet.change(hosts=[replace(host, remote_images={"images": {"alpine/3.22": image}})])

    listed = await client.get("/api/v1/templates")
    created = await create(client, template="images:alpine/3.22", type="virtual-machine")
    shown = await client.get(created.headers["location"])
    wrong = await create(client, name="other", template="images:alpine/3.2")

    last = listed.json()["data"]["templates"][-1]
    assert (last["id"], last["remote"], last["hosts"]) == ("images:alpine/3.22", "images", [])
    assert (last["type"], last["types"]) == ("container", list(types))
    [change] = gateway.operations.submitted
    order = change.arguments.create
    assert order is not None
    assert order.image == ImageSource(remote="images", alias="alpine/3.22")
    assert (order.type, shown.json()["data"]["os"]) == ("virtual-machine", "alpine3.22")
    assert code(wrong) == (400, "VALIDATION_ERROR")
    [told] = wrong.json()["error"]["details"]["errors"]
    assert told["message"] == "须为 images:alpine/3.22, ubuntu20.04, busybox 之一"


@pytest.mark.attack
async def test_an_alias_that_a_host_lies_about_makes_no_template_unusable(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    lie = Image(fingerprint="66", aliases=("busybox",), type="virtual-machine", os="evil")
    evil = a_host_view("a-evil", resources=a_description(images=[lie], capacity=None))
    gateway.fleet.change(hosts=[evil, *gateway.fleet.known_hosts])

    created = await create(client, template="busybox")
    listed = (await client.get("/api/v1/templates")).json()["data"]["templates"]

    assert created.status_code == 201
    [change] = gateway.operations.submitted
    order = change.arguments.create
    assert order is not None
    assert (change.target.host, order.type, order.image.alias) == ("h1", "container", "busybox")
    shown = {each["id"]: each for each in listed}["busybox"]
    assert shown["types"] == ["container", "virtual-machine"]
    assert shown["hosts"] == ["a-evil", "h1"]
    assert [(each["type"], each["os"], each["hosts"]) for each in shown["images"]] == [
        ("container", "busybox1", ["h1"]),
        ("virtual-machine", "evil", ["a-evil"]),
    ]


@pytest.mark.attack
async def test_one_template_that_cannot_be_shown_costs_no_other_its_place(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    odd = Image(fingerprint="66", aliases=("odd",), description="\ud800")
    evil = a_host_view("a-evil", resources=a_description(images=[odd]))
    gateway.fleet.change(hosts=[evil, *gateway.fleet.known_hosts])

    answer = await client.get("/api/v1/templates")

    listed = {each["id"]: each for each in answer.json()["data"]["templates"]}
    assert list(listed) == ["ubuntu20.04", "odd", "busybox"]
    assert (listed["odd"]["error"], listed["odd"]["hosts"]) == ("not_renderable", ["a-evil"])
    assert "error" not in listed["busybox"]


def test_no_secret_is_in_what_a_request_is_printed_as() -> None:
    body = VmCreation.model_validate(MY_VM | {"rootPassword": "hidden", "cloudInit": "hidden"})

    assert "hidden" not in repr(body)
