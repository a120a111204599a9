from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from shared.contracts.errors import (
    FleetError,
    InstanceNotRunning,
    PasswordNotSet,
    WorkerOutdated,
)
from shared.contracts.operations import Arguments, Failure, Kind, Secrets, State
from tests.support.gateway_http import FakeGateway

PASSWORD = "/api/v1/vms/vm-u1/password"
NEW = "n3w-Passw0rd"


async def test_the_password_of_the_request_is_handed_over_as_a_secret_and_not_shown(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    answer = await client.post(PASSWORD, json={"password": NEW})

    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "id": "vm-u1",
        "name": "Web Server",
        "status": "running",
        "password": None,
    }
    [change] = gateway.operations.submitted
    assert (change.kind, change.arguments) == (Kind.PASSWORD, Arguments())
    assert change.secrets == Secrets(root_password=NEW)
    assert NEW not in repr(change)


@pytest.mark.parametrize("body", [None, {}, {"password": None}])
async def test_without_one_it_is_generated_and_shown_in_the_answer_only(
    gateway: FakeGateway, client: httpx.AsyncClient, body: object
) -> None:
    answers = [await client.post(PASSWORD, json=body) for _ in range(2)]

    shown = [answer.json()["data"]["password"] for answer in answers]
    assert shown == [
        change.secrets and change.secrets.root_password for change in gateway.operations.submitted
    ]
    assert shown[0] != shown[1]
    assert all(len(password) == 20 and password.isascii() for password in shown)
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    again = await client.post(PASSWORD, json={"password": shown[0]})
    assert again.status_code == 200


async def test_under_the_key_of_an_earlier_request_it_is_not_shown_again(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await client.post(PASSWORD, headers=key)

    second = await client.post(PASSWORD, headers=key)

    assert first.json()["data"]["password"]
    assert second.json()["data"] == {**first.json()["data"], "password": None}
    assert len(gateway.operations.submitted) == 1


async def test_one_that_may_still_be_set_is_shown_with_202(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.held = asyncio.Event()
    gateway.settings = replace(gateway.settings, sync_wait_s=0.01)

    async with gateway.client() as impatient:
        answer = await impatient.post(PASSWORD)

    assert answer.status_code == 202
    assert answer.json()["data"]["password"]


@pytest.mark.parametrize(
    "password",
    ["", "short-7", "x" * 129, "with space", "a:colon-b", "line\nroot:x", "nul\x00nul", "pässword"],
)
async def test_what_a_guest_would_read_as_something_else_is_refused_and_not_repeated(
    gateway: FakeGateway, client: httpx.AsyncClient, password: str
) -> None:
    answer = await client.post(PASSWORD, json={"password": password})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert gateway.operations.submitted == []
    assert not password or password not in answer.text


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (InstanceNotRunning("web"), 400, "VM_ALREADY_STOPPED"),
        (PasswordNotSet("web", "it is paused"), 409, "PASSWORD_NOT_SET"),
        (WorkerOutdated("h1"), 503, "WORKER_OUTDATED"),
    ],
)
async def test_what_the_host_refuses_is_told(
    gateway: FakeGateway,
    client: httpx.AsyncClient,
    refusal: FleetError,
    status: int,
    code: str,
) -> None:
    gateway.operations.refusal = refusal

    answer = await client.post(PASSWORD)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "data" not in answer.json()


@pytest.mark.parametrize(
    ("reason", "language", "said"),
    [
        ("there is no chpasswd in it", "en", "there is no chpasswd in it"),
        ("there is no chpasswd in it", "zh", "其中没有 chpasswd"),
        ("its chpasswd ended with status 1", "zh", "status 1"),
    ],
)
async def test_why_a_guest_cannot_is_told_in_the_callers_language(
    gateway: FakeGateway, client: httpx.AsyncClient, reason: str, language: str, said: str
) -> None:
    failure = Failure(code="password_not_set", values=["web", reason])
    gateway.operations.ends = {"state": State.FAILED, "failure": failure}

    answer = await client.post(PASSWORD, headers={"Accept-Language": language})

    assert answer.status_code == 409
    assert answer.json()["error"]["message"].endswith(said)
