from __future__ import annotations

import httpx
import pytest

from services.gateway.vms.templates import Template
from shared.contracts.instance_config import ImageSource
from shared.contracts.instances import Trash
from shared.contracts.operations import Failure, Kind, State
from tests.support.builders import GIB, a_description, a_documented_instance
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view, a_view, view_of

VM = "/api/v1/vms/vm-u1"
TRASH = Trash(name="trash-5d1c0f6a-web", until="2026-11-29T10:00:00.5Z", size=20 * GIB)
KEPT = {"until": "2026-11-29T10:00:00Z", "disk": 20.0, "instance": "trash-5d1c0f6a-web"}
UBUNTU = Template("ubuntu20.04", "ubuntu20.04", (ImageSource(alias="busybox"),))


@pytest.fixture
def gateway() -> FakeGateway:
    """Host h1 with the image `busybox`, a template of it and one of another, and `web`."""
    other = Template("debian12", "debian12", (ImageSource(alias="debian12"),))
    gateway = FakeGateway(templates=[UBUNTU, other])
    host = a_host_view("h1", resources=a_description())
    web = a_documented_instance("web", uuid="u1", display_name="Web Server")
    gateway.fleet.change(hosts=[host], instances=[view_of(web)])
    return gateway


async def rebuilt(client: httpx.AsyncClient, template: str = "ubuntu20.04") -> httpx.Response:
    return await client.post(f"{VM}/rebuild", json={"template": template})


async def test_it_is_rebuilt_from_what_its_host_has_under_that_name(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    after = a_documented_instance("web", uuid="u1", display_name="Web Server", trash=TRASH)
    gateway.operations.ends = {"state": State.DONE, "after": after}

    answer = await rebuilt(client)

    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "id": "vm-u1",
        "name": "Web Server",
        "status": "running",
        "message": "实例 web 重装成功；原系统及其快照可在保留期内恢复",
        "trash": KEPT,
    }
    [change] = gateway.operations.submitted
    assert (change.kind, change.target.uuid) == (Kind.REBUILD, "u1")
    assert change.arguments.image == ImageSource(alias="busybox")


async def test_it_is_taken_back(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{VM}/rebuild/revert", headers={"Accept-Language": "en"})

    assert answer.status_code == 200
    assert answer.json()["data"]["message"].startswith("Instance web is back to its former system")
    assert [change.kind for change in gateway.operations.submitted] == [Kind.REVERT]


@pytest.mark.parametrize("template", ["debian12", "nix"])
async def test_a_template_that_the_host_has_not_is_refused_with_what_it_has(
    gateway: FakeGateway, client: httpx.AsyncClient, template: str
) -> None:
    answer = await rebuilt(client, template)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    [wrong] = error["details"]["errors"]
    assert (wrong["field"], "ubuntu20.04" in wrong["message"]) == ("template", True)
    assert gateway.operations.submitted == []


async def test_one_that_takes_long_is_told_to_go_on(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.ends = {"state": State.RUNNING}

    answer = await rebuilt(client)

    assert answer.status_code == 202
    assert answer.json()["data"]["trash"] is None
    assert "op-1" in answer.json()["data"]["message"]


@pytest.mark.parametrize(
    ("path", "failure", "expected"),
    [
        ("rebuild", "insufficient_resources", (400, "INSUFFICIENT_RESOURCES")),
        ("rebuild", "lxd_refused", (500, "LXD_REFUSED")),
        ("rebuild/revert", "trash_not_found", (404, "TRASH_NOT_FOUND")),
    ],
)
async def test_a_failure_is_told_by_its_name(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    path: str,
    failure: str,
    expected: tuple[int, str],
) -> None:
    values = ["h1", "disk", "2", "1"] if failure == "insufficient_resources" else ["web"]
    gateway.operations.ends = {
        "state": State.FAILED,
        "failure": Failure(code=failure, values=values),
    }
    body = {"template": "ubuntu20.04"} if path == "rebuild" else None

    answer = await client.post(f"{VM}/{path}", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == expected


async def test_what_is_kept_is_shown_with_the_vm_and_counts_as_disk(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(instances=[a_view("web", uuid="u1", trash=TRASH)])

    shown = (await client.get(VM)).json()["data"]

    assert shown["trash"] == KEPT
