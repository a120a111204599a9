"""What a host calls its own instances cannot come between a caller and another host's instance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.instances import Proxy
from shared.contracts.worker_api import Snapshot
from tests.support.builders import a_documented_instance
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view

pytestmark = pytest.mark.attack

VMS = "/api/v1/vms"
UUID = "9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11"
ID = f"vm-{UUID}"
# The evil host is listed first, its instance by name too.
ORIGINAL = a_view("web", uuid=UUID, display_name="Web Server", host="h1")
COPY = replace(a_view("web", uuid=UUID, host="evil"), duplicate=True)
BOTH = [("original", ID, "h1"), ("copy", "evil:web", "evil")]


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.fleet.known_hosts = [a_host_view("evil"), a_host_view("h1")]
    gateway.fleet.known_instances = [COPY, ORIGINAL]
    return gateway


def names(answer: httpx.Response) -> list[tuple[str, bool]]:
    return [(entry["id"], entry["duplicate"]) for entry in answer.json()["data"]["vms"]]


async def test_original_and_copy_have_ids_of_their_own_in_the_list(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(VMS)

    assert names(answer) == [("evil:web", True), (ID, False)]


@pytest.mark.parametrize(("_", "vm_id", "host"), BOTH)
@pytest.mark.parametrize("path", ["", "/status", "/metrics", "/console", "/ports", "/snapshots"])
async def test_reads_reach_the_original_or_the_copy_as_was_meant(
    gateway: FakeGateway, client: httpx.AsyncClient, _: str, vm_id: str, host: str, path: str
) -> None:
    for each in (COPY, ORIGINAL):
        listen = f"tcp:192.0.2.1:{len(each.host)}"
        proxy = Proxy(device="ssh", listen=listen, connect="tcp:127.0.0.1:22")
        instance = a_documented_instance("web", uuid=UUID, proxies=(proxy,))
        gateway.fleet.known_instances.remove(each)
        gateway.fleet.known_instances.append(replace(each, instance=instance))

    answer = await client.get(f"{VMS}/{vm_id}{path}")

    assert answer.status_code == 200
    data = answer.json()["data"]
    expected: dict[str, Any] = {"": host, "/status": host, "/ports": len(host)}
    shown = data.get("ssh") if path == "/ports" else data.get("host")
    assert path not in expected or shown == expected[path]


@pytest.mark.parametrize(("_", "vm_id", "host"), BOTH)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/start", None),
        ("POST", "/stop", {"force": True}),
        ("POST", "/restart", None),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("DELETE", "?force=true", None),
        ("PUT", "", {"cpu": 1}),
        ("POST", "/rename", {"name": "new"}),
        ("POST", "/snapshots", {"name": "s"}),
        ("POST", "/snapshots/s/restore", None),
        ("DELETE", "/snapshots/s", None),
        ("PUT", "/ports", {"forwards": []}),
    ],
)
async def test_changes_go_to_the_original_or_the_copy_as_was_meant(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    _: str,
    vm_id: str,
    host: str,
    method: str,
    path: str,
    body: object,
) -> None:
    await client.request(method, f"{VMS}/{vm_id}{path}", json=body)

    assert [change.target.host for change in gateway.operations.submitted] == [host]


async def test_one_action_on_original_and_copy_reaches_each(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    body = {"action": "stop", "ids": [ID, "evil:web"]}

    answer = await client.post(f"{VMS}/actions", json=body)

    assert [result["id"] for result in answer.json()["data"]["results"]] == [ID, "evil:web"]
    assert [each.target.host for each in gateway.operations.submitted] == ["h1", "evil"]


async def test_a_selector_means_original_and_copy_each(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    body = {"action": "stop", "selector": {"host": "evil"}}

    await client.post(f"{VMS}/actions", json=body)

    assert [each.target.host for each in gateway.operations.submitted] == ["evil"]


async def test_the_name_that_a_copy_shares_means_the_original(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{VMS}/web")

    assert answer.json()["data"]["host"] == "h1"


@pytest.mark.parametrize("vm_id", [ID, "h1:web", "h1:Web Server"])
@pytest.mark.parametrize(
    "trap",
    [
        {"name": ID},
        {"name": "trap", "display_name": ID},
        {"name": "trap", "display_name": "h1:web"},
        {"name": "trap", "display_name": "h1:Web Server"},
        {"name": "trap", "display_name": "Web Server"},
        {"name": "web"},
    ],
)
async def test_no_name_that_a_host_gives_blocks_an_id_or_a_place(
    gateway: FakeGateway, client: httpx.AsyncClient, vm_id: str, trap: dict[str, str]
) -> None:
    gateway.fleet.change(instances=[a_view(**trap, host="evil"), ORIGINAL])

    answer = await client.get(f"{VMS}/{vm_id}")

    assert (answer.status_code, answer.json()["data"]["host"]) == (200, "h1")


async def test_the_id_of_what_is_gone_means_nothing_that_is_called_like_it(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(instances=[a_view(ID, host="evil")])

    answer = await client.get(f"{VMS}/{ID}")

    assert answer.status_code == 404


async def test_the_instances_api_reaches_the_original_by_its_name(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.post("/api/instances/web/stop")
    await client.post("/api/instances/web/stop?host=evil")

    assert [each.target.host for each in gateway.operations.submitted] == ["h1", "evil"]


async def test_snapshots_are_those_of_the_host_that_is_asked(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    taken = Snapshot(name="s", created_at="2026-01-20T10:00:00Z")
    gateway.snapshots.of[UUID] = [DescribedSnapshot(taken, "")]

    await client.get(f"{VMS}/{ID}/snapshots")
    await client.get(f"{VMS}/evil:web/snapshots")

    assert [target.host for target in gateway.snapshots.asked] == ["h1", "evil"]
