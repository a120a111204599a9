from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from tests.support.gateway_http import LOOPBACK, FakeGateway

GUARDED = replace(LOOPBACK, binds=(("0.0.0.0", 8000),), token="t0ken")
OPEN = replace(GUARDED, open_networks=("10.0.0.0/8", "fd00::/8"))
START = "/api/instances/test1/start"


async def answered(
    gateway: FakeGateway, peer: str = "192.0.2.9", **headers: str | bytes
) -> httpx.Response:
    async with gateway.client(peer) as client:
        named = [
            (name.replace("_", "-").encode(), _bytes(value)) for name, value in headers.items()
        ]
        return await client.get("/api/instances/test1", headers=named)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer t0ken"},
        {"Authorization": "bearer  t0ken"},
        {"X_API_Key": "t0ken"},
    ],
)
async def test_the_token_lets_in_and_shows_passwords(headers: dict[str, str]) -> None:
    answer = await answered(FakeGateway(GUARDED), **headers)

    assert answer.status_code == 200
    assert answer.json()["root_password"] == "password123"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer t0ken2"},
        {"Authorization": "Basic t0ken"},
        {"X_API_Key": "wrong"},
        {"X_API_Key": b"t0k\xe9n"},
    ],
)
@pytest.mark.parametrize("peer", ["192.0.2.9", "127.0.0.1"])
async def test_without_the_right_token_nobody_gets_in(
    headers: dict[str, str | bytes], peer: str
) -> None:
    answer = await answered(FakeGateway(GUARDED), peer, **headers)

    assert answer.status_code == 401
    assert answer.json() == {"detail": "需要有效的API令牌", "code": "unauthorized"}
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7"])
async def test_an_open_network_needs_no_token_but_sees_no_password(peer: str) -> None:
    answer = await answered(FakeGateway(OPEN), peer)

    assert answer.status_code == 200
    assert answer.json()["root_password"] == "********"
    assert "password123" not in answer.text


async def test_passwords_cannot_be_guessed_by_searching() -> None:
    async with FakeGateway(OPEN).client("10.1.2.3") as client:
        found = await client.get("/api/instances?search=password1")

    assert found.json() == []


async def test_a_wrong_token_is_refused_in_an_open_network_too() -> None:
    answer = await answered(FakeGateway(OPEN), "10.1.2.3", X_API_Key="wrong")

    assert answer.status_code == 401


@pytest.mark.parametrize("peer", ["192.0.2.9", "fe80::1", "testclient"])
async def test_other_networks_stay_closed(peer: str) -> None:
    assert (await answered(FakeGateway(OPEN), peer)).status_code == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_without_a_token_in_the_settings_loopback_may_do_everything(peer: str) -> None:
    answer = await answered(FakeGateway(), peer, Authorization="Bearer your-token")

    assert (answer.status_code, answer.json()["root_password"]) == (200, "password123")


async def test_without_a_token_in_the_settings_nobody_else_gets_in() -> None:
    assert (await answered(FakeGateway(), "192.0.2.9")).status_code == 401


@pytest.mark.parametrize(
    "path", ["/", "/api/health", "/livez", "/readyz", "/docs", "/openapi.json"]
)
async def test_what_says_no_secret_is_open(path: str) -> None:
    async with FakeGateway(GUARDED).client("192.0.2.9") as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/api/instances", "/api/hosts", "/nix"])
async def test_everything_else_is_closed(path: str) -> None:
    async with FakeGateway(GUARDED).client("192.0.2.9") as client:
        assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "LOCALHOST"]
)
async def test_a_tokenless_gateway_answers_under_loopback_names(host: str) -> None:
    assert (await answered(FakeGateway(), "127.0.0.1", Host=host)).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "192.0.2.1", "localhost.evil", "["]
)
async def test_a_tokenless_gateway_does_not_answer_under_a_name_that_was_bent_to_it(
    host: str,
) -> None:
    answer = await answered(FakeGateway(), "127.0.0.1", Host=host)

    assert (answer.status_code, answer.json()["code"]) == (403, "host_header_not_allowed")


async def test_with_a_token_the_name_does_not_matter() -> None:
    answer = await answered(FakeGateway(GUARDED), X_API_Key="t0ken", Host="panel.example")

    assert answer.status_code == 200


async def posted(gateway: FakeGateway, origin: str) -> httpx.Response:
    async with gateway.client() as client:
        return await client.post(START, headers={"Origin": origin})


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9000", "null", ""])
async def test_a_page_of_another_origin_cannot_change_anything(origin: str) -> None:
    gateway = FakeGateway()

    answer = await posted(gateway, origin)

    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert gateway.operations.submitted == []


async def test_a_page_of_our_own_can() -> None:
    assert (await posted(FakeGateway(), "http://localhost:8000")).status_code == 200


async def test_a_page_of_an_allowed_origin_can() -> None:
    gateway = FakeGateway(replace(LOOPBACK, allowed_origins=("https://panel.example",)))

    assert (await posted(gateway, "https://panel.example")).status_code == 200


async def test_reading_is_left_to_the_browsers_own_rule() -> None:
    answer = await answered(FakeGateway(), "127.0.0.1", Origin="http://evil.example")

    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_an_empty_token_is_none() -> None:
    gateway = FakeGateway(replace(GUARDED, token=""))

    assert (await answered(gateway, "192.0.2.9", Authorization="Bearer ")).status_code == 401
