"""What browsers are told with every answer."""

from __future__ import annotations

import re
from dataclasses import replace

import httpx
import pytest

from services.gateway.http.middleware.body_limit import LARGEST
from tests.support.gateway_http import LOOPBACK, FakeGateway, openapi

TOKEN = "0123456789abcdef" * 2
GUARDED = replace(LOOPBACK, token=TOKEN, allowed_origins=("https://panel.example",))
ADMIN = {"X-API-Key": TOKEN}
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


def routes() -> list[tuple[str, str]]:
    paths = openapi()["paths"]
    return [(method.upper(), path) for path, ways in paths.items() for method in ways]


def check(answer: httpx.Response) -> None:
    for name, value in EVERYWHERE.items():
        assert answer.headers.get_list(name) == [value], (answer.request.url, name)
    [policy] = answer.headers.get_list("content-security-policy")
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert len(answer.headers.get_list("cache-control")) == 1
    assert "strict-transport-security" not in answer.headers


@pytest.mark.attack
@pytest.mark.parametrize(("method", "path"), routes())
@pytest.mark.parametrize("headers", [ADMIN, {}], ids=["let in", "refused"])
async def test_every_route_tells_browsers_what_they_may_do_and_nothing_of_a_caller_is_kept(
    method: str, path: str, headers: dict[str, str]
) -> None:
    async with FakeGateway(GUARDED).client("192.0.2.9", headers=headers) as client:
        answer = await client.request(method, re.sub(r"\{\w+\}", "test1", path))

    check(answer)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nix", 404),
        ("PATCH", "/api/instances", 405),
        ("HEAD", "/api/instances", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/static-offline-docs/swagger-ui.css", 200),
        ("GET", "/static-offline-docs/nix", 404),
        ("GET", "/console/test1", 200),
        ("GET", "/console-files/console.js", 200),
        ("GET", "/console-files/nix", 404),
    ],
)
async def test_so_does_everything_else(method: str, path: str, status: int) -> None:
    async with FakeGateway(GUARDED).client(headers=ADMIN) as client:
        answer = await client.request(method, path)

    assert answer.status_code == status
    check(answer)


@pytest.mark.attack
async def test_refusals_before_any_route_tell_browsers_the_same() -> None:
    gateway = FakeGateway(GUARDED)
    preflight = {"Origin": "https://panel.example", "Access-Control-Request-Method": "GET"}
    async with gateway.client(headers=ADMIN) as client:
        large = await client.post("/api/instances/test1/start", content=b" " * (LARGEST + 1))
        allowed = await client.options("/api/instances", headers=preflight)
        refused = await client.options("/api/hosts", headers={**preflight, "Origin": "https://x"})

    assert [each.status_code for each in (large, allowed, refused)] == [413, 200, 403]
    for answer in (large, allowed, refused):
        check(answer)


async def test_a_bug_says_it_too() -> None:
    gateway = FakeGateway(GUARDED)
    gateway.fleet.known_instances = [None]  # type: ignore[list-item]
    async with gateway.client(headers=ADMIN) as client:
        answer = await client.get("/api/instances")

    assert answer.status_code == 500
    check(answer)


@pytest.mark.attack
async def test_lists_with_passwords_are_not_kept_and_others_are_asked_for_again() -> None:
    gateway = FakeGateway(replace(GUARDED, open_networks=("10.0.0.0/8",)))
    async with gateway.client("10.1.2.3", headers=ADMIN) as admin:
        with_passwords = await admin.get("/api/instances")
        tag = {"If-None-Match": with_passwords.headers["etag"]}
        unchanged = await admin.get("/api/instances", headers=tag)
    async with gateway.client("10.1.2.3") as reader:
        without = await reader.get("/api/instances")

    assert with_passwords.headers["cache-control"] == "no-store"
    assert (unchanged.status_code, unchanged.headers["cache-control"]) == (304, "no-store")
    assert without.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/api/instances", "/nix"])
async def test_whoever_came_by_tls_is_to_come_by_tls_again(path: str) -> None:
    async with FakeGateway(GUARDED).client(base_url="https://localhost:8000") as client:
        answer = await client.get(path)

    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_the_pages_may_load_what_they_are_made_of_and_run_nothing_else() -> None:
    async with FakeGateway(GUARDED).client() as client:
        console = (await client.get("/console/test1")).headers["content-security-policy"]
        docs = (await client.get("/docs")).headers["content-security-policy"]

    assert "script-src 'self';" in console
    assert "connect-src 'self'" in console
    assert "form-action 'none'" in console
    # Swagger's start stands in the page itself.
    assert "script-src 'self' 'unsafe-inline'" in docs
