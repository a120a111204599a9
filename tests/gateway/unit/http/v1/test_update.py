from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.contracts.instance_config import Changes
from shared.contracts.instance_etag import etag
from shared.contracts.operations import Kind, State
from tests.support.builders import GIB, MIB
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_view
from tests.support.vms import DB, WEB, code

VM = "/api/v1/vms/vm-u1"
TAG = f'"{etag(WEB.instance)}"'


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({"cpu": 2}, Changes(cpu=2)),
        ({"memory": 1024}, Changes(memory=1024 * MIB)),
        ({"disk": 20}, Changes(disk=20 * GIB)),
        ({"disk": 10.5}, Changes(disk=10 * GIB + GIB // 2)),
        ({"description": ""}, Changes(description="")),
        ({"autoStart": True}, Changes(auto_start=True)),
        ({"labels": {"env": "prod"}}, Changes(labels={"env": "prod"})),
        ({"cpu": 2, "memory": 512, "disk": None}, Changes(cpu=2)),
        ({"cpu": 2, "disk": 0, "unknown": ["disk"]}, Changes(cpu=2)),
        ({"disk": 20, "unknown": ["disk"]}, Changes(disk=20 * GIB)),
    ],
)
async def test_what_differs_is_changed_and_nothing_else(
    gateway: FakeGateway, client: httpx.AsyncClient, body: dict[str, Any], changes: Changes
) -> None:
    answer = await client.put(VM, json=body)

    assert answer.status_code == 200
    [change] = gateway.operations.submitted
    assert (change.kind, change.target.uuid) == (Kind.UPDATE, "u1")
    assert change.arguments.changes == changes
    assert change.arguments.etag == ""


async def test_what_counts_from_the_next_start_is_named(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.operations.ends = {"state": State.DONE, "needs_restart": ("disk", "auto_start")}

    answer = await client.put(VM, json={"disk": 20, "autoStart": True})

    assert answer.json()["data"] == {
        "id": "vm-u1",
        "name": "Web Server",
        "status": "running",
        "needsRestart": ["disk", "autoStart"],
    }


async def test_an_answer_can_be_sent_back_and_changes_nothing(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    shown = (await client.get(VM)).json()["data"]

    answer = await client.put(VM, json=shown)

    assert answer.status_code == 200
    assert answer.json()["data"]["needsRestart"] == []
    assert gateway.operations.submitted == []


ODD = a_view(
    "odd",
    uuid="u9",
    cpu_limit="0",
    memory_limit=400_000,
    root_size=0,
    description=f"odd 20144 pw {'0' * 8000}",
    labels={"two words": "x", "lines": "1\n2", "empty": ""},
)


@pytest.fixture
def odd(gateway: FakeGateway) -> str:
    """The path of an instance set to what nobody may write here."""
    gateway.fleet.change(instances=[ODD])
    return "/api/v1/vms/vm-u9"


async def test_what_is_shown_is_no_change_whatever_it_is(
    gateway: FakeGateway, client: httpx.AsyncClient, odd: str
) -> None:
    shown = (await client.get(odd)).json()["data"]

    answer = await client.put(odd, json=shown)

    assert (shown["cpu"], shown["memory"], shown["disk"]) == (0, 0, 0)
    assert answer.status_code == 200, answer.text
    assert gateway.operations.submitted == []


async def test_one_change_among_what_is_shown_is_that_change(
    gateway: FakeGateway, client: httpx.AsyncClient, odd: str
) -> None:
    shown = (await client.get(odd)).json()["data"]
    labels = {"lines": "1\n2", "new": "y"}

    answer = await client.put(odd, json={**shown, "memory": 64, "labels": labels})

    assert answer.status_code == 200, answer.text
    [change] = gateway.operations.submitted
    assert change.arguments.changes == Changes(memory=64 * MIB, labels=labels)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cpu": False}, "cpu"),
        ({"memory": False}, "memory"),
        ({"labels": {"lines": "1\n3"}}, "labels.lines"),
        ({"labels": {"none": None}}, "labels.none"),
        ({"labels": {"none": [1]}}, "labels.none"),
        ({"labels": {"two words": "y", "lines": "1\n2"}}, "labels.two words.[key]"),
        ({"labels": {"lines": "1\n2", **{f"k{n}": "x" for n in range(64)}}}, "labels"),
        ({"labels": {f"k{n}": "x" for n in range(65)}}, "labels"),
    ],
)
async def test_what_is_not_as_shown_has_to_keep_the_rules(
    gateway: FakeGateway, client: httpx.AsyncClient, odd: str, body: object, field: str
) -> None:
    answer = await client.put(odd, json=body)

    assert code(answer) == (400, "VALIDATION_ERROR")
    assert [error["field"] for error in answer.json()["error"]["details"]["errors"]] == [field]
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cpus": 2}, "cpus"),
        ({"cpu": 0}, "cpu"),
        ({"cpu": "2"}, "cpu"),
        ({"cpu": True}, "cpu"),
        ({"cpu": 1.5}, "cpu"),
        ({"memory": 0}, "memory"),
        ({"disk": 0}, "disk"),
        ({"disk": "20"}, "disk"),
        ({"disk": 0, "unknown": ["cpu"]}, "disk"),
        ({"disk": 0, "unknown": "disk"}, "disk"),
        ({"disk": 0, "unknown": 7}, "disk"),
        ({"autoStart": "true"}, "autoStart"),
        ({"labels": {"a b": "x"}}, "labels.a b.[key]"),
        ({"labels": {"a": ""}}, "labels.a"),
        ({"labels": ["a"]}, "labels"),
        ({"name": "Other"}, "name"),
        ({"raw.lxc": "x"}, "raw.lxc"),
        ([], "body"),
    ],
)
async def test_what_cannot_be_changed_so_is_refused_with_its_field(
    gateway: FakeGateway, client: httpx.AsyncClient, body: object, field: str
) -> None:
    answer = await client.put(VM, json=body)

    assert code(answer) == (400, "VALIDATION_ERROR")
    assert [error["field"] for error in answer.json()["error"]["details"]["errors"]] == [field]
    assert gateway.operations.submitted == []


@pytest.mark.parametrize("condition", [TAG, f'"other", {TAG}'])
async def test_a_change_can_be_made_conditional_on_what_the_caller_saw(
    gateway: FakeGateway, client: httpx.AsyncClient, condition: str
) -> None:
    answer = await client.put(VM, json={"cpu": 2}, headers={"If-Match": condition})

    assert answer.status_code == 200
    assert gateway.operations.submitted[0].arguments.etag == etag(WEB.instance)


async def test_any_state_will_do_for_a_star(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    await client.put(VM, json={"cpu": 2}, headers={"If-Match": "*"})

    assert gateway.operations.submitted[0].arguments.etag == ""


@pytest.mark.parametrize("body", [{"cpu": 2}, {}])
@pytest.mark.parametrize("condition", ['"other"', f'"{etag(DB.instance)}"', "nonsense"])
async def test_an_older_state_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, body: dict[str, int], condition: str
) -> None:
    answer = await client.put(VM, json=body, headers={"If-Match": condition})

    assert code(answer) == (412, "PRECONDITION_FAILED")
    assert gateway.operations.submitted == []


async def test_an_update_needs_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.put(VM)

    assert code(answer) == (400, "VALIDATION_ERROR")
