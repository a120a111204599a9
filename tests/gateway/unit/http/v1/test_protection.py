"""How instances are protected, in pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.gateway.fleet.encoded_protection import read_protection
from tests.support.builders import a_heartbeat, a_protection, a_protection_report, an_instance
from tests.support.golden.fleet import TOKEN, GoldenGateway, uuid

PATH = "/api/v1/protection"
DESKTOP = an_instance("desktop", uuid=uuid(11))


@pytest.fixture
def golden() -> GoldenGateway:
    return GoldenGateway()


@pytest.fixture
async def client(golden: GoldenGateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(golden.app())
    headers = {"authorization": f"Bearer {TOKEN}", "accept-language": "en"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers=headers
    ) as client:
        yield client


async def page(client: httpx.AsyncClient, **query: object) -> dict[str, Any]:
    answer = await client.get(PATH, params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200
    data: dict[str, Any] = answer.json()["data"]
    return data


def names(data: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in data["instances"]]


async def test_cursors_lead_through_all_instances_whatever_comes_or_goes(
    client: httpx.AsyncClient, golden: GoldenGateway
) -> None:
    whole = names(await page(client, limit=100))
    listed, cursor = [], ""
    while cursor is not None:
        data = await page(client, limit=3, **({"cursor": cursor} if cursor else {}))
        listed += names(data)
        cursor = data["pagination"]["nextCursor"]

    assert listed == whole
    assert len(whole) == 13


async def test_the_summary_counts_all_whatever_is_listed(client: httpx.AsyncClient) -> None:
    data = await page(client, state="late", limit=1)

    assert names(data) == ["db"]
    assert data["pagination"]["total"] == 1
    assert data["summary"] == {
        "total": 13,
        "protected": 2,
        "late": 1,
        "failing": 1,
        "unprotected": 4,
        "unknown": 5,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "protected"}, ["shared", "Web Server"]),
        ({"state": "protected", "project": "shop"}, ["shared"]),
        ({"state": "unknown", "host": "h2"}, ["copy", "desktop", "twin"]),
        ({"search": "WEB", "state": "protected"}, ["Web Server"]),
        ({"search": "web", "state": "late"}, []),
    ],
)
async def test_conditions_are_combined(
    client: httpx.AsyncClient, query: dict[str, str], expected: list[str]
) -> None:
    assert names(await page(client, **query)) == expected


async def test_why_a_slot_brought_no_snapshot_is_said_in_words(client: httpx.AsyncClient) -> None:
    [cache] = (await page(client, state="failing"))["instances"]

    assert (cache["code"], cache["failures"]) == ("command_failed", 3)
    assert cache["message"] == "the command inside the instance failed"


async def test_a_code_of_a_later_release_is_told_as_it_is(
    client: httpx.AsyncClient, golden: GoldenGateway
) -> None:
    golden.hear("h2", a_protection_report(a_protection(DESKTOP, code="{moon}")))

    [desktop] = (await page(client, host="h2", state="protected"))["instances"]

    assert desktop["message"] == "there was no snapshot ({moon})"


@pytest.mark.attack
async def test_an_entry_that_cannot_be_read_hides_no_other(
    client: httpx.AsyncClient, golden: GoldenGateway
) -> None:
    row = {"name": "desktop", "uuid": DESKTOP.uuid, "state": "late", "snapshots": "many"}
    body = json.dumps({"epoch": 1, "at": "", "instances": [row]}).encode()
    golden.hear("h2", read_protection(body))

    desktop = (await page(client, host="h2"))["instances"][1]

    assert (desktop["name"], desktop["error"], desktop["state"]) == (
        "desktop",
        "not_renderable",
        "unknown",
    )


async def test_a_host_that_goes_away_says_so_and_its_report_stays(
    client: httpx.AsyncClient, golden: GoldenGateway
) -> None:
    golden.core.time.advance(3600)
    golden.core.fleet.tick()
    golden.hear("h2", a_heartbeat(fingerprint="fingerprint-of-h2"))

    entry = (await page(client, host="h1", state="protected"))["instances"][0]

    assert (entry["hostOnline"], entry["state"]) == (False, "protected")
    assert entry["ageSeconds"] == 4601 + 3600
