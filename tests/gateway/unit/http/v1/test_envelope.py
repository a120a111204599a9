from __future__ import annotations

import re

import httpx
import pytest

from services.gateway.http.errors import STATUS
from services.gateway.http.v1.envelope import NAMES, named
from tests.support.gateway_http import FakeGateway

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
VMS = "/api/v1/vms"


def told(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an error, whose form is that of the document."""
    body = answer.json()
    assert set(body) == {"success", "error", "timestamp"}
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "details"}
    assert TIME.fullmatch(body["timestamp"])
    return answer.status_code, body["error"]["code"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1", 404, "NOT_FOUND"),
        ("GET", "/api/v1/", 404, "NOT_FOUND"),
        ("GET", "/api/v1/nix", 404, "NOT_FOUND"),
    ],
)
async def test_every_error_has_the_form_of_this_api(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    assert told(await client.request(method, path)) == (status, code)


async def test_other_peoples_preflights_are_refused_in_this_form(client: httpx.AsyncClient) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}

    assert told(await client.options(VMS, headers=headers)) == (403, "ORIGIN_NOT_ALLOWED")


async def test_a_bug_is_told_without_internals(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.known_instances = [None]  # type: ignore[list-item]

    answer = await client.get(VMS)

    assert told(answer) == (500, "INTERNAL_ERROR")
    assert answer.json()["error"]["details"] == {}


def test_every_name_stands_for_an_error_there_is() -> None:
    assert STATUS.keys() >= NAMES.keys()


def test_what_the_document_does_not_name_keeps_its_own_name_and_status() -> None:
    assert named("host_unreachable") == ("HOST_UNREACHABLE", 503)
    assert named("idempotency_key_reused") == ("IDEMPOTENCY_KEY_REUSED", 422)
