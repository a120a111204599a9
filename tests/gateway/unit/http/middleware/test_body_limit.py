from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from services.gateway.http.middleware.body_limit import LARGEST, BodyLimitMiddleware
from tests.support.gateway_http import FakeGateway

START = "/api/instances/test1/start"


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 2**16


async def test_a_body_over_a_mebibyte_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post(
        START, content=b" " * (LARGEST + 1), headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert gateway.operations.submitted == []


async def test_a_chunked_body_over_a_mebibyte_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post(
        START, content=chunks(17), headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 413
    assert gateway.operations.submitted == []


async def test_a_body_of_a_mebibyte_is_read(client: httpx.AsyncClient) -> None:
    body = b"{}" + b" " * (LARGEST - 2)

    answer = await client.post(START, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_called_json_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, kind: str
) -> None:
    answer = await client.post(START, content=b"{}", headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_not_supported")
    assert gateway.operations.submitted == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.x+json"])
async def test_json_may_be_called_by_its_other_names(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post(START, content=b"{}", headers={"Content-Type": kind})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", [START, "/api/v1/vms/test1/stop"])
async def test_a_body_of_no_length_is_no_body_whatever_it_is_called(
    gateway: FakeGateway, client: httpx.AsyncClient, path: str
) -> None:
    headers = {"Content-Type": "application/octet-stream"}

    assert (await client.post(path, content=b"", headers=headers)).status_code == 200
    assert gateway.operations.submitted[0].arguments.force is False


@pytest.mark.parametrize("length", ["+2", "-2", "1_0", "٢", "2, 2", "0x2", "2 ", "", "9" * 5000])
async def test_a_length_that_is_no_number_is_refused(gateway: FakeGateway, length: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": length.encode()}
    async with gateway.client() as client:
        request = client.build_request("POST", START, content=b"{}")
        request.headers = httpx.Headers(list(headers.items()))
        answer = await client.send(request)

    assert answer.status_code in {400, 413}
    assert gateway.operations.submitted == []


async def test_a_request_whose_caller_left_before_its_end_is_not_carried_out() -> None:
    reached: list[Scope] = []
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": []}
    await BodyLimitMiddleware(app)(scope, receive, send)

    assert reached == []
