from __future__ import annotations

import httpx
import pytest

from services.gateway.vms.templates import Template
from shared.contracts.instance_config import ImageSource
from shared.contracts.instances import Trash
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


async def test_what_is_kept_is_shown_with_the_vm_and_counts_as_disk(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.change(instances=[a_view("web", uuid="u1", trash=TRASH)])

    shown = (await client.get(VM)).json()["data"]

    assert shown["trash"] == KEPT
