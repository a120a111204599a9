from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.gateway.http.errors import STATUS
from services.gateway.http.middleware.body_limit import LARGEST
from services.gateway.http.v1.envelope import NAMES, named
from tests.support.gateway_http import LOOPBACK, FakeGateway

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
        ("GET", f"{VMS}/nix", 404, "VM_NOT_FOUND"),
        ("GET", f"{VMS}?host=nix", 404, "HOST_NOT_FOUND"),
        ("GET", f"{VMS}?page=0", 400, "VALIDATION_ERROR"),
        ("PATCH", VMS, 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_every_error_has_the_form_of_this_api(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    assert told(await client.request(method, path)) == (status, code)


async def test_whoever_is_not_let_in_is_told_so_in_this_form(gateway: FakeGateway) -> None:
    gateway.settings = replace(LOOPBACK, token="t0ken")

    async with gateway.client() as client:
        answer = await client.get(VMS)

    assert told(answer) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "headers", "code"),
    [
        ("GET", {"Host": "evil.example"}, "HOST_HEADER_NOT_ALLOWED"),
        ("POST", {"Origin": "http://evil.example"}, "ORIGIN_NOT_ALLOWED"),
        (
            "OPTIONS",
            {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
            "ORIGIN_NOT_ALLOWED",
        ),
    ],
)
async def test_other_peoples_pages_are_refused_in_this_form(
    client: httpx.AsyncClient, method: str, headers: dict[str, str], code: str
) -> None:
    assert told(await client.request(method, VMS, headers=headers)) == (403, code)


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b" " * (LARGEST + 1), "application/json", 413, "PAYLOAD_TOO_LARGE"),
        (b"{}", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
async def test_bodies_that_are_not_read_are_refused_in_this_form(
    client: httpx.AsyncClient, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = await client.post(VMS, content=content, headers={"Content-Type": kind})

    assert told(answer) == (status, code)


async def test_until_the_fleet_is_read_the_answer_is_503(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.ready = False

    answer = await client.get(VMS)

    assert told(answer) == (503, "FLEET_VIEW_NOT_READY")
    assert answer.headers["retry-after"] == "1"


async def test_a_bug_is_told_without_internals(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.known_instances = [None]  # type: ignore[list-item]

    answer = await client.get(VMS)

    assert told(answer) == (500, "INTERNAL_ERROR")
    assert answer.json()["error"]["details"] == {}


@pytest.mark.parametrize(
    ("accepted", "message"),
    [("zh", "实例 nix 不存在"), ("en", "Instance nix does not exist")],
)
async def test_messages_speak_the_callers_language(
    client: httpx.AsyncClient, accepted: str, message: str
) -> None:
    answer = await client.get(f"{VMS}/nix", headers={"Accept-Language": accepted})

    assert answer.json()["error"]["message"] == message
    assert answer.json()["error"]["details"] == {"name": "nix"}
    assert answer.headers["content-language"] == accepted


async def test_bad_input_lists_each_field(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{VMS}?page=0&limit=x")

    errors: list[dict[str, Any]] = answer.json()["error"]["details"]["errors"]
    assert {error["field"]: error["message"] for error in errors} == {
        "page": "不能小于 1",
        "limit": "须为整数",
    }


def test_every_name_stands_for_an_error_there_is() -> None:
    assert STATUS.keys() >= NAMES.keys()


def test_what_the_document_does_not_name_keeps_its_own_name_and_status() -> None:
    assert named("host_unreachable") == ("HOST_UNREACHABLE", 503)
    assert named("idempotency_key_reused") == ("IDEMPOTENCY_KEY_REUSED", 422)


async def test_the_instances_api_keeps_its_own_form(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/instances/nix")

    assert answer.json() == {"detail": "实例 nix 不存在", "code": "instance_not_found"}
