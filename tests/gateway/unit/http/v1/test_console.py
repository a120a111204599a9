from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.gateway_http import FakeGateway
from tests.support.views import a_view
from tests.support.vms import WEB

CONSOLE = "/api/v1/vms/vm-u1/console"


async def asked(gateway: FakeGateway, path: str = CONSOLE, **headers: str) -> httpx.Response:
    async with gateway.client() as client:
        return await client.get(path, headers=headers)


async def test_the_answer_is_a_password_and_an_address_that_holds_it(gateway: FakeGateway) -> None:
    answer = await asked(gateway)

    data = answer.json()["data"]
    address = urlsplit(data["url"])
    assert (data["type"], data["host"], data["port"]) == ("exec", "localhost", 8000)
    assert (address.scheme, address.netloc) == ("ws", "localhost:8000")
    assert address.path == "/console/vm-u1"
    assert parse_qs(address.query) == {"password": [data["password"]]}


async def test_no_cache_keeps_a_password_and_no_two_are_the_same(gateway: FakeGateway) -> None:
    one, other = await asked(gateway), await asked(gateway)

    assert one.headers["cache-control"] == "no-store"
    assert one.json()["data"]["password"] != other.json()["data"]["password"]


async def test_behind_tls_the_address_is_one_of_tls(gateway: FakeGateway) -> None:
    async with gateway.client(base_url="https://localhost") as client:
        data = (await client.get(CONSOLE)).json()["data"]

    assert data["url"].startswith("wss://localhost/console/")
    assert data["port"] == 443


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("vm-u1/console", "exec"),
        ("vm-u1/console?type=exec", "exec"),
        ("vm-u1/console?type=console", "console"),
        ("vm-u3/console", "console"),
        ("vm-u3/console?type=exec", "exec"),
        ("vm-u3/console?type=vga", "spice"),
    ],
)
async def test_the_type_is_the_one_asked_for_else_what_suits_the_vm(
    gateway: FakeGateway, path: str, kind: str
) -> None:
    answer = await asked(gateway, f"/api/v1/vms/{path}")

    assert answer.json()["data"]["type"] == kind


@pytest.mark.parametrize("query", ["type=vga", "type=vnc", "type="])
async def test_a_type_that_the_vm_does_not_have_is_refused(
    gateway: FakeGateway, query: str
) -> None:
    answer = await asked(gateway, f"{CONSOLE}?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("status", ["Stopped", "Frozen", "Error"])
async def test_what_does_not_run_has_no_console(gateway: FakeGateway, status: str) -> None:
    still = a_view("still", uuid="u9", status=status)
    gateway.fleet.known_instances = [WEB, still]

    answer = await asked(gateway, "/api/v1/vms/vm-u9/console")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VM_ALREADY_STOPPED")
