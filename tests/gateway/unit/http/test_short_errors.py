"""However many hosts there are, an error names the first few and says how many more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.vms.placement import NoHostFits, NoHostForNow, Shortfall
from services.gateway.vms.templates import Template
from shared.contracts.errors import InvalidInput, OperationInProgress
from shared.contracts.hosts import Capacity, Image, Network
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import Failure, State
from tests.support.builders import GIB, a_description
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view

HOSTS = [f"host-with-a-name-{number:04}" for number in range(1000)]
VM = {"name": "my-vm", "template": "ubuntu20.04", "cpu": 2, "memory": 2048, "disk": 20}
UBUNTU = Template("ubuntu20.04", "ubuntu20.04", (ImageSource(alias="busybox"),))
SHORT = 2048

Ask = Callable[[httpx.AsyncClient], object]


def small(number: int, host: str) -> HostView:
    offer = a_description(
        networks=[Network(name=f"bridge{number}", type="bridge", managed=False)],
        projects=["default", f"project{number}"],
        images=[Image(fingerprint=f"f{number}", aliases=("busybox", f"image{number}"))],
        capacity=Capacity(cpu=1, memory=GIB, disk=GIB),
    )
    return a_host_view(host, resources=offer)


def namesake(number: int, host: str) -> InstanceView:
    return replace(a_view("web", uuid=f"{number:08}-0-0-0-0"), host=host)


@pytest.fixture
def gateway() -> FakeGateway:
    """A thousand hosts without room, each with an instance `web`."""
    gateway = FakeGateway(templates=[UBUNTU])
    hosts = [small(number, host) for number, host in enumerate(HOSTS)]
    instances = [namesake(number, host) for number, host in enumerate(HOSTS)]
    gateway.fleet.change(hosts=hosts, instances=instances)
    return gateway


ASKED: dict[str, tuple[str, str, dict[str, object] | None]] = {
    "no host fits": ("POST", "/api/v1/vms", VM),
    "no such network": ("POST", "/api/v1/vms", VM | {"network": {"type": "bridge", "bridge": "x"}}),
    "no such host": ("POST", "/api/v1/vms", VM | {"host": "x"}),
    "no such template": ("POST", "/api/v1/vms", VM | {"template": "x"}),
    "no such project": ("POST", "/api/v1/vms", VM | {"project": "x"}),
    "several VMs": ("GET", "/api/v1/vms/web", None),
    "several VMs to act on": ("POST", "/api/v1/vms/web/start", None),
    "several instances": ("GET", "/api/instances/web", None),
    "several instances to act on": ("POST", "/api/instances/web/stop", None),
}


@pytest.mark.attack
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("asked", ASKED)
async def test_an_error_that_could_name_a_thousand_names_five(
    client: httpx.AsyncClient, asked: str, language: str
) -> None:
    method, path, body = ASKED[asked]

    answer = await client.request(method, path, json=body, headers={"accept-language": language})

    assert 400 <= answer.status_code < 500
    assert len(answer.content) < SHORT
    assert "… (+99" in answer.text


@pytest.mark.attack
async def test_of_the_hosts_that_do_not_fit_it_is_counted_what_they_lack(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/api/v1/vms", json=VM)

    details = answer.json()["error"]["details"]
    assert list(details["lacks"]) == HOSTS[:5]
    assert details["hosts"] == 1000
    assert details["counts"] == {"cpu": 1000, "memory": 1000, "disk": 1000}
    assert answer.json()["error"]["message"].endswith("… (+995); cpu 1000, memory 1000, disk 1000")


async def test_that_none_fits_for_now_is_no_longer(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    lacks = {host: [Shortfall("time"), Shortfall("memory", 2 * GIB, GIB)] for host in HOSTS}
    gateway.operations.refusal = NoHostForNow(NoHostFits(lacks))

    answer = await client.post("/api/v1/vms", json=VM | {"cpu": 1, "memory": 256, "disk": 1})

    assert answer.status_code == 503
    assert len(answer.content) < SHORT
    assert answer.json()["error"]["details"]["counts"] == {"time": 1000, "memory": 1000}


async def test_a_few_are_named_all() -> None:
    gateway = FakeGateway(templates=[UBUNTU])
    gateway.fleet.change(
        hosts=[small(number, host) for number, host in enumerate(HOSTS[:5])],
        instances=[namesake(number, host) for number, host in enumerate(HOSTS[:5])],
    )

    async with gateway.client() as client:
        answer = await client.get("/api/instances/web")

    assert ", ".join(HOSTS[:5]) in answer.json()["detail"]
    assert "…" not in answer.json()["detail"]


@pytest.mark.attack
async def test_wrong_entries_of_a_bulk_request_are_told_once(client: httpx.AsyncClient) -> None:
    wrong = {"action": "start", "ids": [""] * 500 + [7] * 500}

    answer = await client.post("/api/v1/vms/actions", json=wrong)

    assert answer.status_code == 400
    assert len(answer.content) < SHORT
    errors = answer.json()["error"]["details"]["errors"]
    assert [each["field"] for each in errors] == ["ids", "ids"]


@pytest.mark.attack
async def test_wrong_keys_of_a_table_are_not_told_without_end(client: httpx.AsyncClient) -> None:
    labels = {f"{number:03}{'x' * 250} ": "y" for number in range(64)}

    answer = await client.post("/api/v1/vms", json=VM | {"labels": labels})

    assert answer.status_code == 400
    assert len(answer.json()["error"]["details"]["errors"]) == 20
    assert len(answer.content) < 4 * SHORT


@pytest.mark.attack
@pytest.mark.parametrize("rule", ["no_host_fits", "too_long", "literal_error", "start.done"])
async def test_a_host_cannot_name_a_text_that_needs_values(
    gateway: FakeGateway, client: httpx.AsyncClient, rule: str
) -> None:
    gateway.operations.refusal = InvalidInput("cpu", rule)
    refused = await client.post("/api/v1/vms", json=VM | {"cpu": 1, "memory": 256, "disk": 1})

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert rule in refused.json()["error"]["message"]


@pytest.mark.attack
async def test_what_one_host_says_of_a_failure_costs_no_list_of_operations() -> None:
    gateway = FakeGateway()
    async with gateway.client() as client:
        await client.post("/api/instances/test1/start")
        said = Failure(code="invalid_input", values=["cpu", "no_host_fits"])
        gateway.operations.end("op-1", state=State.FAILED, failure=said)

        answer = await client.get("/api/operations")

    assert answer.status_code == 200
    assert answer.json()[0]["failure"]["message"] == "cpu：no_host_fits"


@pytest.mark.attack
async def test_what_a_host_says_begins_no_header_of_an_answer(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.refusal = OperationInProgress("web", "op-1\r\nSet-Cookie: a=b")

    answer = await client.post(f"/api/instances/web/stop?host={HOSTS[0]}")

    assert answer.status_code == 409
    assert answer.headers["location"] == "/api/operations/op-1%0D%0ASet-Cookie%3A%20a%3Db"


@pytest.mark.attack
@pytest.mark.parametrize("code", ["database_unavailable", "host_identity_mismatch", "made_up"])
async def test_a_failure_that_would_be_believed_of_others_is_the_hosts(code: str) -> None:
    gateway = FakeGateway()
    said = Failure(code=code, values=["h2"] if code.startswith("host") else [])
    gateway.operations.ends = {"state": State.FAILED, "failure": said}
    async with gateway.client() as client:
        answer = await client.post("/api/instances/test1/start")

    expected = "lxd_refused" if code == "made_up" else "worker_failed"
    assert (answer.status_code, answer.json()["code"]) == (500, expected)
    assert code in answer.json()["detail"]
