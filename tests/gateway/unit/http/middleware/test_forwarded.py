from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from services.gateway.http.middleware.forwarded import (
    MOST_HOPS,
    PROXIED,
    ForwardedHeadersMiddleware,
)
from tests.support.gateway_http import LOOPBACK, FakeGateway

PROXIES = ("127.0.0.1", "10.9.0.0/16", "fd00:9::/32")
TOKEN = "0123456789abcdef" * 2
NO_ADDRESSES = ("", ",", "unknown", "localhost", "_hidden", "300.1", "[]:80", "[192.0.2.1%]")
NO_ADDRESSES_EITHER = ("192.0.2.1, unknown", "192.0.2.1,", "192.0.2.1:80:80", "fe80::1%eth0")


async def seen(
    *headers: tuple[str, str],
    peer: tuple[str, int] | None = ("127.0.0.1", 4000),
    kind: str = "http",
    trusted: tuple[str, ...] = PROXIES,
) -> Scope:
    """Return the scope that the app gets."""
    reached: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    async def nothing(*_: object) -> dict[str, object]:
        raise AssertionError

    scope: Scope = {
        "type": kind,
        "client": peer,
        "scheme": "ws" if kind == "websocket" else "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    await ForwardedHeadersMiddleware(app, trusted)(scope, nothing, nothing)
    return reached[0]


async def client_of(*values: str) -> str | None:
    client = (await seen(*[("x-forwarded-for", value) for value in values]))["client"]
    return None if client is None else client[0]


@pytest.mark.attack
@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("10.1.1.1, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.9.0.7", "192.0.2.1"),
        ("192.0.2.1, fd00:9::7, ::ffff:10.9.0.7", "192.0.2.1"),
        ("10.9.0.8, 10.9.0.7", "10.9.0.8"),
    ],
)
async def test_the_client_is_the_last_address_that_is_no_proxys(value: str, client: str) -> None:
    assert await client_of(value) == client


@pytest.mark.attack
@pytest.mark.parametrize("value", NO_ADDRESSES + NO_ADDRESSES_EITHER)
async def test_what_is_no_address_makes_the_client_unknown(value: str) -> None:
    assert await client_of(value) is None


async def test_a_proxy_that_names_no_client_leaves_it_unknown() -> None:
    assert (await seen())["client"] is None


async def test_several_headers_are_one_list() -> None:
    assert await client_of("192.0.2.1", "192.0.2.2, 10.9.0.1") == "192.0.2.2"


@pytest.mark.attack
async def test_of_a_long_chain_only_the_end_is_looked_at() -> None:
    proxies = ["10.9.0.1"] * (MOST_HOPS - 1)

    assert await client_of(",".join(["192.0.2.1", *proxies])) == "192.0.2.1"
    assert await client_of(",".join(["192.0.2.1", "10.9.0.1", *proxies])) is None


@pytest.mark.attack
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "fleet.example"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=10.1.2.3;proto=https"),
        ("x-real-ip", "10.1.2.3"),
        ("via", "1.1 proxy"),
    ],
)
async def test_a_peer_that_is_no_proxy_is_not_believed(header: str, value: str) -> None:
    scope = await seen((header, value), trusted=())

    assert (scope["client"], scope["scheme"]) == (("127.0.0.1", 4000), "http")
    assert scope["state"][PROXIED]


async def test_a_request_without_such_headers_is_as_it_was() -> None:
    scope = await seen(("host", "localhost"), trusted=())

    assert scope["client"] == ("127.0.0.1", 4000)
    assert "state" not in scope


async def test_a_socket_without_an_address_is_no_proxys() -> None:
    assert (await seen(("x-forwarded-for", "10.1.2.3"), peer=None))["client"] is None


@pytest.mark.parametrize(
    ("kind", "value", "scheme"),
    [
        ("http", "https", "https"),
        ("http", "wss", "https"),
        ("http", "http", "http"),
        ("websocket", "https", "wss"),
        ("websocket", "ws", "ws"),
        ("http", "HTTPS", "http"),
        ("http", "javascript", "http"),
        ("http", "https,http", "http"),
        ("http", "", "http"),
    ],
)
async def test_the_scheme_is_one_of_four(kind: str, value: str, scheme: str) -> None:
    assert (await seen(("x-forwarded-proto", value), kind=kind))["scheme"] == scheme


@pytest.mark.attack
async def test_operations_and_tickets_belong_to_the_clients_address() -> None:
    gateway = FakeGateway(replace(LOOPBACK, token=TOKEN, trusted_proxies=("127.0.0.1",)))
    headers = {"X-API-Key": TOKEN, "X-Forwarded-For": "192.0.2.1"}
    async with gateway.client() as client:
        answer = await client.post("/api/instances/test1/start", headers=headers)

    assert answer.status_code == 200
    assert [change.caller.address for change in gateway.operations.submitted] == ["192.0.2.1"]


@pytest.mark.attack
async def test_without_a_token_a_proxys_client_is_nobody_on_this_machine() -> None:
    gateway = FakeGateway(replace(LOOPBACK, trusted_proxies=("127.0.0.1",)))

    async def status(**headers: str) -> int:
        async with gateway.client(headers=httpx.Headers(headers)) as client:
            return (await client.get("/api/hosts")).status_code

    assert await status() == 401
    assert await status(**{"X-Forwarded-For": "127.0.0.1"}) == 401
