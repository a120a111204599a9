from __future__ import annotations

import httpx
import pytest

from shared.contracts.operations import Kind
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_view
from tests.support.vms import WEB

RENAME = "/api/v1/vms/vm-u1/rename"
SHOP = a_view("shop", uuid="u4", display_name="The Shop")
ELSEWHERE = a_view("mail", uuid="u5", host="h2")


@pytest.fixture
def gateway(gateway: FakeGateway) -> FakeGateway:
    gateway.fleet.known_instances = [WEB, SHOP, ELSEWHERE]
    return gateway


@pytest.mark.parametrize(
    ("name", "lxd_name"),
    [
        ("Front Page", "front-page"),
        ("web", "web"),
        ("Web!", "web"),
        ("Shop", "shop-2"),
        ("mail", "mail"),
    ],
)
async def test_a_name_is_kept_as_it_is_and_lxd_gets_a_free_one_like_it(
    gateway: FakeGateway, client: httpx.AsyncClient, name: str, lxd_name: str
) -> None:
    answer = await client.post(RENAME, json={"name": name})

    assert answer.status_code == 200
    [change] = gateway.operations.submitted
    assert (change.kind, change.target.name) == (Kind.RENAME, "web")
    assert (change.arguments.display_name, change.arguments.new_name) == (name, lxd_name)


async def test_the_name_it_has_already_changes_nothing(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post(RENAME, json={"name": "Web Server"})

    assert answer.json()["data"] == {"id": "vm-u1", "name": "Web Server", "status": "running"}
    assert gateway.operations.submitted == []


async def test_a_name_that_another_one_of_the_host_has_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post(RENAME, json={"name": "The Shop"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "VM_ALREADY_EXISTS")
    assert gateway.operations.submitted == []


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 256}, {"name": "a\nb"}])
async def test_what_is_no_name_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, body: dict[str, str]
) -> None:
    answer = await client.post(RENAME, json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert gateway.operations.submitted == []
