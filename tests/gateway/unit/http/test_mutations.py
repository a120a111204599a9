from __future__ import annotations

import hashlib
from dataclasses import replace

import httpx
import pytest

from tests.support.gateway_http import LOOPBACK, FakeGateway

START = "/api/instances/test1/start"
JSON = {"Content-Type": "application/json"}


async def fingerprints(gateway: FakeGateway, *requests: tuple[str, bytes]) -> set[str]:
    async with gateway.client() as client:
        for number, (path, body) in enumerate(requests):
            headers = {**JSON, "Idempotency-Key": f"k{number}"}
            await client.post(path, content=body, headers=headers)
    return {each.key.fingerprint for each in gateway.operations.submitted}


async def test_the_same_request_has_the_same_digest(gateway: FakeGateway) -> None:
    one = ("/api/instances/test1/stop?force=true&host=h1", b"{}")
    same = ("/api/instances/test1/stop?host=h1&force=true", b"{}")

    assert len(await fingerprints(gateway, one, same)) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/instances/test1/stop", b""),
        ("/api/instances/test1/start?host=h1", b""),
        ("/api/instances/test1/start", b"{}"),
    ],
)
async def test_another_path_query_or_body_has_another_digest(
    gateway: FakeGateway, path: str, body: bytes
) -> None:
    assert len(await fingerprints(gateway, (START, b""), (path, body))) == 2


async def test_no_key_asks_for_no_earlier_operation(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.post(START)
    await client.post(START)

    assert len(gateway.operations.submitted) == 2


@pytest.mark.attack
async def test_who_reads_the_database_cannot_try_out_passwords_against_a_digest() -> None:
    body = b"{}"
    found = []
    for token in ("first-token", "second-token"):
        gateway = FakeGateway(replace(LOOPBACK, token=token))
        async with gateway.client(headers={"authorization": f"Bearer {token}"}) as client:
            headers = {**JSON, "Idempotency-Key": "k1"}
            answer = await client.post(START, content=body, headers=headers)
            assert answer.status_code == 200, answer.text
        found += [each.key.fingerprint for each in gateway.operations.submitted]

    plain = hashlib.sha256(repr(("POST", START, [], body)).encode()).hexdigest()
    assert len({*found, plain}) == 3
