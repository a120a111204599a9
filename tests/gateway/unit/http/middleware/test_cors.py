from __future__ import annotations

from dataclasses import replace

import pytest

from services.gateway.fleet.views import HostView
from tests.support.gateway import FakeFleet
from tests.support.gateway_http import LOOPBACK, FakeGateway

PANEL = "https://panel.example"
ALLOWING = replace(LOOPBACK, allowed_origins=(PANEL,))


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
        "Access-Control-Request-Private-Network": "true",
    }


async def test_a_page_of_an_allowed_origin_may_read_answers_and_their_headers() -> None:
    async with FakeGateway(ALLOWING).client() as client:
        answer = await client.get("/api/instances", headers={"Origin": PANEL})

    assert answer.headers["access-control-allow-origin"] == PANEL
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"Location", "X-Operation-Id", "X-Fleet-Version"} <= set(exposed)


async def test_its_preflight_is_answered_without_a_token() -> None:
    guarded = replace(ALLOWING, token="t0ken")
    async with FakeGateway(guarded).client("192.0.2.9") as client:
        answer = await client.options("/api/instances/test1", headers=preflight(PANEL))

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PANEL
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "idempotency-key" in answer.headers["access-control-allow-headers"].lower()
    assert answer.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("settings", [LOOPBACK, ALLOWING])
async def test_another_origins_preflight_is_refused_in_json(settings: object) -> None:
    gateway = FakeGateway(settings)  # type: ignore[arg-type]
    async with gateway.client() as client:
        answer = await client.options(
            "/api/instances/test1", headers=preflight("http://evil.example")
        )

    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers


class BrokenFleet(FakeFleet):
    """Has a bug."""

    def host(self, host: str) -> HostView:
        raise RuntimeError(host)


@pytest.mark.parametrize(("path", "status"), [("/api/instances/nix", 404), ("/api/hosts/h1", 500)])
async def test_errors_too_can_be_read_by_an_allowed_page(path: str, status: int) -> None:
    async with FakeGateway(ALLOWING, fleet=BrokenFleet()).client() as client:
        answer = await client.get(path, headers={"Origin": PANEL})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PANEL
