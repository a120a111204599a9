from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import Request

from tests.support.gateway_http import LOOPBACK, FakeGateway

PATHS = ("/api/instances", "/api/v1/vms", "/metrics", "/healthz")


@pytest.fixture
def schemes_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths of requests whose token was read by a route, after the middleware."""
    paths: list[str] = []

    async def read(_: object, request: Request) -> None:
        paths.append(request.url.path)

    for scheme in (APIKeyHeader, HTTPBearer):
        monkeypatch.setattr(scheme, "__call__", read)
    return paths


async def test_no_route_reads_a_token_that_the_middleware_has_checked(
    client: httpx.AsyncClient, schemes_read: list[str]
) -> None:
    statuses = [(await client.get(path)).status_code for path in PATHS]

    assert (statuses, schemes_read) == ([200] * len(PATHS), [])


async def test_a_route_that_reads_none_needs_it_all_the_same() -> None:
    gateway = FakeGateway(settings=replace(LOOPBACK, token="s3cret"))

    async with gateway.client() as client:
        statuses = [(await client.get(path)).status_code for path in PATHS]

    assert statuses == [401] * len(PATHS)


def test_both_ways_to_show_a_token_are_described() -> None:
    document = FakeGateway().app().openapi()

    for path in PATHS:
        assert document["paths"][path]["get"]["security"] == [
            {"HTTPBearer": []},
            {"APIKeyHeader": []},
        ]
