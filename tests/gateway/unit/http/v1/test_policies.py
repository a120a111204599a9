"""Snapshot policies over HTTP; the golden answers have what else there is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.gateway.http.messages.policy_rules import POLICY_RULES
from shared.contracts.errors import (
    HostUnreachable,
    InvalidInput,
    PolicyNotFound,
    SnapshotsUnavailable,
)
from shared.policies import rules
from tests.support.builders import a_policy
from tests.support.gateway_http import FakeGateway
from tests.support.golden.vms import NEW_POLICY, WHOLE_POLICY
from tests.support.vms import code

PATH = "/api/v1/policies"
KEY = {"idempotency-key": "k"}
WHOLE: dict[str, Any] = NEW_POLICY | WHOLE_POLICY


async def test_a_repeated_request_makes_no_second_policy(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    first = await client.post(PATH, json=NEW_POLICY, headers=KEY)
    again = await client.post(PATH, json=NEW_POLICY, headers=KEY)
    other = await client.post(PATH, json=WHOLE, headers=KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == f"{PATH}/{first.json()['data']['id']}"
    assert code(other) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(gateway.centre.policies) == 1


async def test_what_was_read_can_be_sent_back_whole(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    created = (await client.post(PATH, json=WHOLE)).json()["data"]
    address = f"{PATH}/{created['id']}"
    read = await client.get(address)

    replaced = await client.put(
        address, json=read.json()["data"], headers={"if-match": read.headers["etag"]}
    )
    late = await client.put(
        address, json=read.json()["data"], headers={"if-match": read.headers["etag"]}
    )

    assert replaced.json()["data"] == read.json()["data"] | {"revision": 2}
    assert replaced.headers["etag"] == '"2"'
    assert code(late) == (412, "PRECONDITION_FAILED")


async def test_what_is_not_given_in_a_replacement_has_its_default(
    client: httpx.AsyncClient,
) -> None:
    created = (await client.post(PATH, json=WHOLE)).json()["data"]

    replaced = await client.put(f"{PATH}/{created['id']}", json=NEW_POLICY)

    data = replaced.json()["data"]
    assert (data["pre"], data["stateful"], data["enabled"]) == (None, False, True)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"schedule": {"cron": "0 0 30 2 *"}}, "schedule.cron"),
        ({"schedule": {"cron": "@daily"}}, "schedule.cron"),
        ({"schedule": {"cron": "0 0 * * *", "timezone": "../etc/passwd"}}, "schedule.timezone"),
        ({"schedule": {"cron": "* * * * *", "jitterSeconds": 61}}, "schedule.jitterSeconds"),
        ({"retention": {}}, "retention"),
        ({"retention": {"keepTags": ["x"]}}, "retention"),
        ({"pattern": "daily"}, "pattern"),
        ({"pattern": "../{time}"}, "pattern"),
        ({"pattern": "{time}{moon}"}, "pattern"),
        ({"name": "a/b"}, "name"),
        ({"selection": {"names": ["../x"]}}, "selection.names"),
        ({"pre": {"command": []}}, "pre.command"),
        # What a caller without the token has read, sent back.
        ({"pre": {"command": ["******"]}}, "pre.command"),
        ({"post": {"command": ["x"], "timeoutSeconds": 0}}, "post.timeoutSeconds"),
    ],
)
async def test_what_cannot_be_carried_out_is_refused_with_the_field(
    gateway: FakeGateway, client: httpx.AsyncClient, part: dict[str, Any], field: str
) -> None:
    answer = await client.post(PATH, json=NEW_POLICY | part)

    assert code(answer) == (400, "VALIDATION_ERROR")
    assert [each["field"] for each in answer.json()["error"]["details"]["errors"]] == [field]
    assert gateway.centre.called == []


async def test_a_policy_that_is_too_large_for_the_plans_of_hosts_is_refused(
    client: httpx.AsyncClient,
) -> None:
    script = {"command": ["sh", "-c", "x" * 8000]}

    answer = await client.post(
        PATH, json=NEW_POLICY | {"pre": script, "post": script}, headers={"accept-language": "en"}
    )

    assert code(answer) == (400, "VALIDATION_ERROR")
    [error] = answer.json()["error"]["details"]["errors"]
    assert (error["field"], error["message"]) == ("body", rules.SIZE)


async def test_everything_that_is_wrong_is_told_at_once_and_says_what_is_right(
    client: httpx.AsyncClient,
) -> None:
    wrong = {"schedule": {"cron": "x", "timezone": "y"}, "retention": {}, "pattern": "z"}

    answer = await client.post(PATH, json=NEW_POLICY | wrong, headers={"accept-language": "en"})

    errors = {e["field"]: e["message"] for e in answer.json()["error"]["details"]["errors"]}
    assert errors.keys() == {"schedule.cron", "schedule.timezone", "retention", "pattern"}
    assert "'30 2 * * *'" in errors["schedule.cron"]
    assert "{time}" in errors["pattern"]


async def test_a_field_that_the_snapshots_service_refuses_has_its_name_in_this_api(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.centre.refusal = InvalidInput("schedule.jitter_s", rules.JITTER)

    answer = await client.post(PATH, json=NEW_POLICY, headers={"accept-language": "en"})

    assert code(answer) == (400, "VALIDATION_ERROR")
    error = answer.json()["error"]
    assert [each["field"] for each in error["details"]["errors"]] == ["schedule.jitterSeconds"]
    assert error["message"].startswith("schedule.jitterSeconds")


async def test_a_field_that_a_host_refuses_has_its_name_in_this_api(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.workers.unreachable = {"h1": InvalidInput("retention.keep_tags", rules.TAG)}
    any_policy = {"policy": NEW_POLICY | {"selection": {"names": ["*"]}}}

    answer = await client.post(f"{PATH}/simulate", json=any_policy)

    error = answer.json()["data"]["hosts"][0]["error"]
    assert [each["field"] for each in error["details"]["errors"]] == ["retention.keepTags"]


@pytest.mark.parametrize("rule", POLICY_RULES)
def test_what_is_said_of_a_policy_names_fields_as_this_api_does(rule: str) -> None:
    for text in POLICY_RULES[rule]:
        assert re.search(r"[a-z]_[a-z]", text) is None


async def test_a_host_that_refuses_stops_no_other(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.centre.policies = {"p-1": a_policy()}
    gateway.workers.unreachable = {"h1": HostUnreachable("h1")}

    answer = await client.post(f"{PATH}/p-1/run")

    first, second = answer.json()["data"]["hosts"]
    assert (answer.status_code, first["state"], first["started"]) == (200, "away", 0)
    assert first["error"]["code"] == "HOST_UNREACHABLE"
    assert (second["state"], second["started"], second["error"]) == ("answered", 1, None)
    assert answer.json()["data"]["started"] == 1


async def test_the_history_of_a_vm_is_what_its_own_host_reports(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    for asked in ("vm=vm-u1", "vm=vm-u1&host=h9", "host=h9"):
        await client.get(f"{PATH}/runs?{asked}")

    asked_for = [(each.host, bool(each.uuid)) for each in gateway.centre.queries]
    assert asked_for == [("h1", True), ("h9", True), ("h9", False)]


async def test_the_same_moment_is_the_same_request_to_a_host(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.centre.policies = {"p-1": a_policy()}
    first = (await client.post(f"{PATH}/p-1/run")).json()["data"]["at"]

    await client.post(f"{PATH}/p-1/run", json={"at": first})

    assert len({body for _, body in gateway.workers.sent}) == 1


async def test_what_was_done_for_a_vm_that_is_gone_is_still_told(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gone = "0b6e3a52-6a4c-4a8e-9a0e-0c7b6f3f0a11"

    answer = await client.get(f"{PATH}/runs?vm=vm-{gone}&state=taken")
    unknown = await client.get(f"{PATH}/runs?vm=nix")

    assert answer.status_code == 200
    assert [(query.uuid, query.state) for query in gateway.centre.queries] == [(gone, "taken")]
    assert code(unknown) == (404, "VM_NOT_FOUND")


async def test_a_request_that_is_repeated_under_its_key_is_the_same_request_to_a_host(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.centre.policies = {"p-1": a_policy()}
    first = await client.post(f"{PATH}/p-1/run", headers=KEY)

    # Another moment, as a caller whose request timed out would ask later.
    gateway.run_keys.moments = {
        key: (fingerprint, "2026-11-29T20:45:00Z")
        for key, (fingerprint, _) in gateway.run_keys.moments.items()
    }
    gateway.workers.sent.clear()
    again = await client.post(f"{PATH}/p-1/run", headers=KEY)
    other = await client.post(f"{PATH}/p-1/run", headers=KEY, json={"vm": "vm-u1"})

    assert first.status_code == 200
    assert again.json()["data"]["at"] == "2026-11-29T20:45:00Z"
    assert all(b'"at":"2026-11-29T20:45:00Z"' in body for _, body in gateway.workers.sent)
    assert code(other) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_a_simulation_needs_no_snapshots_service(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.centre.refusal = SnapshotsUnavailable()

    any_policy = {"policy": NEW_POLICY | {"selection": {"names": ["*"]}}}
    answer = await client.post(f"{PATH}/simulate", json=any_policy)

    assert answer.status_code == 200
    assert {host["state"] for host in answer.json()["data"]["hosts"]} == {"answered"}


async def test_the_error_of_a_host_says_so_and_not_the_whole_answer(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.workers.failing = {"simulate_policy": PolicyNotFound("p")}
    any_policy = {"policy": NEW_POLICY | {"selection": {"names": ["*"]}}}

    host, _ = (await client.post(f"{PATH}/simulate", json=any_policy)).json()["data"]["hosts"]

    assert (host["state"], host["error"]["code"], host["vms"]) == ("failed", "POLICY_NOT_FOUND", [])


@pytest.mark.attack
async def test_nobody_without_a_token_reads_what_a_command_may_hold(
    gateway: FakeGateway,
) -> None:
    async with gateway.client() as admin:
        await admin.post(PATH, json=WHOLE)
    guest = gateway_for_guests(gateway)

    async with guest.client(peer="10.1.2.3") as client:
        shown = await client.get(PATH)

    assert shown.status_code == 200
    assert "/bin/sync" not in shown.text
    assert shown.json()["data"]["policies"][0]["pre"]["command"] == ["******"]


def gateway_for_guests(gateway: FakeGateway) -> FakeGateway:
    settings = replace(gateway.settings, token="0" * 32, open_networks=("10.0.0.0/8",))
    return FakeGateway(settings=settings, centre=gateway.centre, fleet=gateway.fleet)
