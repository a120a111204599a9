"""Seen: `HEAD` was answered 405 on every path, and `Allow` of a 405 named one method of several.

Monitors and `curl -I` ask with HEAD. A path whose methods stand in several routes told only those
of the first of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from services.gateway.http.middleware.authentication import OPEN_PATHS
from tests.support.gateway_http import LOOPBACK, FakeGateway, listening
from tests.support.raw_http import connected, said
from tests.support.vms import gateway_of_vms

READ = (
    "/",
    "/livez",
    "/readyz",
    "/docs",
    "/openapi.json",
    "/static-offline-docs/swagger-ui.css",
    "/console/vm-u1",
    "/console-files/console.js",
    "/metrics",
    "/api/health",
    "/api/hosts",
    "/api/instances",
    "/api/instances/nix",
    "/api/nothing",
    "/api/v1/vms",
    "/api/v1/vms/vm-u1",
    "/api/v1/nothing",
    "/api/v1/vms/actions",
    "/api/instances/web/start",
)
OF_THIS_ANSWER = {"x-request-id", "date"}


def told(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OF_THIS_ANSWER}


@pytest.fixture
def gateway() -> FakeGateway:
    return gateway_of_vms()


@pytest.mark.parametrize("path", READ)
async def test_head_is_answered_as_get_without_the_body(gateway: FakeGateway, path: str) -> None:
    async with gateway.client() as client:
        got = await client.get(path)
        head = await client.head(path)

    assert head.status_code == got.status_code
    assert told(head) == told(got)
    assert head.content == b""
    assert got.content


async def test_head_knows_whether_the_caller_has_the_answer_already(gateway: FakeGateway) -> None:
    async with gateway.client() as client:
        tag = (await client.head("/api/v1/vms")).headers["etag"]
        again = await client.head("/api/v1/vms", headers={"If-None-Match": tag})

    assert again.status_code == 304


@pytest.mark.attack
async def test_head_needs_the_token_where_get_does() -> None:
    gateway = FakeGateway(replace(LOOPBACK, token="s3cret"))
    async with gateway.client() as client:
        refused = [path for path in READ if (await client.head(path)).status_code == 401]
        got = [path for path in READ if (await client.get(path)).status_code == 401]

    assert refused == got
    assert not OPEN_PATHS & set(refused)


def exchanged(port: int, sent: bytes) -> bytes:
    with connected(port) as client:
        return said(client, sent)


async def test_on_the_wire_nothing_follows_the_head(gateway: FakeGateway) -> None:
    ask = b"HEAD /api/v1/vms HTTP/1.1\r\nHost: localhost\r\n\r\n"
    long = b"HEAD /api/v1/vms HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"
    async with listening(gateway.app()) as port:
        both = await asyncio.to_thread(exchanged, port, ask + ask + b"GET /livez HTTP/1.0\r\n\r\n")
        refused = await asyncio.to_thread(exchanged, port, long)

    first, second, third, body = both.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert b"content-length: " in first
    assert second.startswith(b"HTTP/1.1 200")
    assert third.startswith(b"HTTP/1.1 200")
    assert body == b'{"status":"alive"}'
    assert refused.startswith(b"HTTP/1.1 431")
    assert refused.endswith(b"\r\n\r\n")


ALLOWED = [
    ("/", "GET, HEAD, OPTIONS"),
    ("/docs", "GET, HEAD, OPTIONS"),
    ("/static-offline-docs/swagger-ui.css", "GET, HEAD, OPTIONS"),
    ("/api/instances/web", "DELETE, GET, HEAD, OPTIONS"),
    ("/api/instances/web/start", "OPTIONS, POST"),
    ("/api/hosts/h1", "DELETE, GET, HEAD, OPTIONS"),
    ("/api/v1/vms", "GET, HEAD, OPTIONS, POST"),
    ("/api/v1/vms/vm-u1", "DELETE, GET, HEAD, OPTIONS, PUT"),
    ("/api/v1/vms/vm-u1/ports", "GET, HEAD, OPTIONS, PUT"),
    ("/api/v1/vms/vm-u1/snapshots", "GET, HEAD, OPTIONS, POST"),
    ("/api/v1/vms/vm-u1/snapshots/s1", "DELETE, OPTIONS"),
]


@pytest.mark.parametrize(("path", "methods"), ALLOWED)
async def test_a_405_names_all_methods_of_the_path(
    gateway: FakeGateway, path: str, methods: str
) -> None:
    async with gateway.client() as client:
        for method in ("PATCH", "TRACE"):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize(("path", "methods"), ALLOWED)
async def test_options_names_the_methods_of_the_path(
    gateway: FakeGateway, path: str, methods: str
) -> None:
    async with gateway.client() as client:
        answer = await client.options(path)

    assert (answer.status_code, answer.headers["allow"]) == (204, methods)
    assert answer.content == b""


async def test_every_method_that_is_named_is_answered(gateway: FakeGateway) -> None:
    async with gateway.client() as client:
        for path, methods in ALLOWED:
            for method in methods.split(", "):
                answer = await client.request(method, path)
                assert answer.status_code != 405, (method, path)


async def test_options_of_what_is_not_there_is_404(gateway: FakeGateway) -> None:
    async with gateway.client() as client:
        here = await client.options("/api/nothing")
        there = await client.options("/api/v1/nothing")

    assert (here.status_code, here.json()["code"]) == (404, "route_not_found")
    assert (there.status_code, there.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_page_of_another_origin_may_ask_with_head() -> None:
    origin = "https://panel.example"
    gateway = FakeGateway(replace(LOOPBACK, allowed_origins=(origin,)))
    asked = {"Origin": origin, "Access-Control-Request-Method": "HEAD"}
    async with gateway.client() as client:
        answer = await client.options("/api/instances", headers=asked)

    assert answer.status_code == 200
    assert "HEAD" in answer.headers["access-control-allow-methods"]
