from __future__ import annotations

import logging
import re
from typing import Any

import httpx
import pytest

from shared.contracts.operations import Operation
from shared.platform.logs import correlation_id
from tests.support.gateway import FakeFleet, FakeOperations
from tests.support.gateway_http import FakeGateway


async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient) -> None:
    answer = await client.get("/livez", headers={"X-Request-Id": "panel-7.a_B"})

    assert answer.headers["x-request-id"] == "panel-7.a_B"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "<script>"])
async def test_another_one_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/livez", headers={"X-Request-Id": given})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/livez", "/nix", "/api/instances/1"])
async def test_every_answer_carries_an_id_of_its_own(client: httpx.AsyncClient, path: str) -> None:
    first, second = await client.get(path), await client.get(path)

    assert first.headers["x-request-id"] != second.headers["x-request-id"]


class Listening(FakeOperations):
    """Notes under which id it is called."""

    async def submit(self, *command: Any) -> Operation:
        self.heard = correlation_id.get()
        return await super().submit(*command)


async def test_the_id_holds_for_all_that_the_request_does() -> None:
    operations = Listening()
    async with FakeGateway(operations=operations).client() as client:
        await client.post("/api/instances/test1/start", headers={"X-Request-Id": "r1"})

    assert operations.heard == "r1"
    assert correlation_id.get() == ""


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [
        each
        for each in caplog.records
        if each.name == "services.gateway.http.middleware.request_log"
    ]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_probe_that_finds_all_well_is_logged_for_debugging_only(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.DEBUG, "services.gateway.http.middleware.request_log")

    answer = await client.get(path)

    assert answer.status_code == 200
    assert [each.levelname for each in lines(caplog)] == ["DEBUG"]


async def test_a_probe_that_fails_is_logged_as_any_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "services.gateway.http.middleware.request_log")

    async with FakeGateway(fleet=FakeFleet(ready=False)).client() as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert [each.levelname for each in lines(caplog)] == ["INFO"]


async def test_each_request_is_one_line_without_its_query(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "services.gateway.http.middleware.request_log")

    await client.get("/api/instances/nix?ticket=open-sesame")

    [line] = lines(caplog)
    fields = vars(line)
    assert line.getMessage() == "request"
    assert (fields["method"], fields["path"], fields["status"]) == (
        "GET",
        "/api/instances/nix",
        404,
    )
    assert fields["took_ms"] > 0
    # A word that no checkout has in its path, which is in the record too.
    assert "open-sesame" not in str(fields)
