"""The stream of changes over a real server: who may watch, and what docs/api/ says of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest
import yaml
from websockets.asyncio.client import connect

from deploy.local.console_page import NODE
from services.gateway.ws.stream_connection import Ping
from services.gateway.ws.topic_channel import Position
from shared.contracts.errors import DatabaseUnavailable
from shared.contracts.operations import Failure, State
from tests.support.builders import an_operation
from tests.support.documents import API, code_blocks
from tests.support.gateway_http import LOOPBACK, listening
from tests.support.views import a_view
from tests.support.watching import gateway, message, refusal

GUARDED = replace(LOOPBACK, token="t0ken")
REFUSED = Failure(code="lxd_refused", values=["full"])
FAILED = an_operation(
    "op-2", state=State.FAILED, failure=REFUSED, created_at="2026-11-20T11:00:00Z"
)
DESCRIBED = yaml.safe_load((API / "asyncapi.yaml").read_text())


def stream(port: int, query: str = "", **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{port}/ws/stream{query}", **options)


def check(told: Any, kind: str = "") -> None:
    """Hold a message against the description of its type."""
    schema = {"$ref": f"#/components/schemas/{kind or told['type']}"}
    jsonschema.validate(told, schema | {"components": DESCRIBED["components"]})


def test_every_message_of_the_description_has_a_schema() -> None:
    channel = DESCRIBED["channels"]["stream"]
    names = {reference["$ref"].rpartition("/")[2] for reference in channel["messages"].values()}

    assert names == DESCRIBED["components"]["messages"].keys()
    assert names == {
        "subscribe",
        "unsubscribe",
        "state",
        "delta",
        "resync",
        "ping",
        "error",
    }
    for name in names:
        payload = DESCRIBED["components"]["messages"][name]["payload"]
        assert payload == {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("instances", {"instances": [a_view("new")]}),
        ("hosts", {"hosts": [], "instances": []}),
        ("operations", {}),
    ],
)
async def test_states_and_changes_are_as_described(topic: str, changes: dict[str, Any]) -> None:
    fake = gateway()
    fake.operations.record(an_operation())
    async with listening(fake.app()) as port, stream(port, f"?topic={topic}") as viewer:
        state = await message(viewer)
        fake.fleet.change(**changes)
        fake.operations.record(FAILED)
        delta = await message(viewer)

    check(state)
    check(delta)
    assert (state["type"], delta["type"]) == ("state", "delta")
    assert state["entries"]
    assert delta["changed"] or delta["removed"]


async def test_the_other_messages_are_as_described() -> None:
    async with listening(gateway().app()) as port, stream(port) as viewer:
        await viewer.send("what?")
        error = await message(viewer)
        request = {"type": "subscribe", "topic": "hosts", "host": "h1", "after": "x-1"}
        check(request)
        await viewer.send(json.dumps(request))
        resync, state = await message(viewer), await message(viewer)

    for told in (error, resync, state):
        check(told)
    assert [each["type"] for each in (error, resync, state)] == ["error", "resync", "state"]


async def test_a_request_may_stand_in_the_address() -> None:
    fake = gateway()
    fake.fleet.known_instances = [a_view(), a_view("other")]

    query = "?topic=instances&host=h1&name=other"
    async with listening(fake.app()) as port, stream(port, query) as viewer:
        state = await message(viewer)

    assert state["entries"].keys() == {"h1/default/other"}


async def test_a_viewer_that_lost_its_connection_resumes() -> None:
    fake = gateway()
    async with listening(fake.app()) as port:
        async with stream(port, "?topic=instances") as viewer:
            token = (await message(viewer))["token"]
        fake.fleet.change(instances=[a_view("new")])
        async with stream(port, f"?topic=instances&after={token}") as viewer:
            delta = await message(viewer)

    assert (delta["type"], delta["removed"]) == ("delta", ["h1/default/test1"])
    assert delta["changed"].keys() == {"h1/default/new"}


async def test_what_cannot_be_watched_is_refused_with_a_status() -> None:
    fake = gateway()
    async with listening(fake.app()) as port:
        wrong = await refusal(stream(port, "?topic=secrets"))
        fake.operations.list_refusal = DatabaseUnavailable()
        unread = await refusal(stream(port, "?topic=operations"))
        fake.fleet.ready = False
        unknown = await refusal(stream(port))

    assert wrong == (422, "invalid_input")
    assert unread == (503, "database_unavailable")
    assert unknown == (503, "fleet_view_not_ready")


async def test_errors_and_operations_are_told_in_the_callers_language() -> None:
    fake = gateway()
    fake.operations.record(FAILED)
    english = {"Accept-Language": "en"}
    async with (
        listening(fake.app()) as port,
        stream(port, "?topic=operations", additional_headers=english) as viewer,
        stream(port, "?topic=operations") as other,
    ):
        told = [await message(each) for each in (viewer, other)]
        await viewer.send("{}")
        error = await message(viewer)

    texts = [each["entries"]["op-2"]["failure"]["message"] for each in told]
    assert texts == ["LXD refused the request: full", "LXD拒绝了请求：full"]
    assert error["detail"] == "message: must be a request described in docs/api/stream.md"


async def test_a_token_opens_the_stream() -> None:
    async with listening(gateway(GUARDED).app()) as port:
        without = await refusal(stream(port, "?topic=hosts"))
        key = {"X-API-Key": "t0ken"}
        async with stream(port, "?topic=hosts", additional_headers=key) as viewer:
            state = await message(viewer)

    assert without == (401, "unauthorized")
    assert state["type"] == "state"


async def test_a_ticket_opens_one_stream_once() -> None:
    async with listening(gateway(GUARDED).app()) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            given = await client.post("/api/ws-tickets", headers={"X-API-Key": "t0ken"})
        query = f"?topic=hosts&ticket={given.json()['ticket']}"
        async with stream(port, query) as viewer:
            state = await message(viewer)
        again = await refusal(stream(port, query))

    assert state["type"] == "state"
    assert again == (401, "unauthorized")


async def test_a_caller_without_the_right_sees_no_password() -> None:
    opened = replace(GUARDED, open_networks=("127.0.0.0/8",))
    async with listening(gateway(opened).app()) as port:
        async with stream(port, "?topic=instances") as viewer:
            masked = await viewer.recv()
        key = {"X-API-Key": "t0ken"}
        async with stream(port, "?topic=instances", additional_headers=key) as viewer:
            clear = await viewer.recv()

    assert "password123" in clear
    assert "password123" not in masked


async def test_a_page_of_another_origin_cannot_watch() -> None:
    async with listening(gateway().app()) as port:
        refused = await refusal(stream(port, origin="http://evil.example"))

    assert refused == (403, "origin_not_allowed")


async def test_a_hundred_viewers_of_the_same_cost_one_reading() -> None:
    fake = gateway()
    async with listening(fake.app()) as port:
        viewers = [await stream(port, "?topic=instances") for _ in range(100)]
        await asyncio.gather(*[message(viewer) for viewer in viewers])
        fake.fleet.change(instances=[a_view("new")])
        told = await asyncio.gather(*[viewer.recv() for viewer in viewers])
        await asyncio.gather(*[viewer.close() for viewer in viewers])

    assert fake.fleet.reads == 2
    assert len(set(told)) == 1


def test_a_ping_is_as_described() -> None:
    position = Position(topic="hosts", host="h1", sequence=3, token="x-3")

    check(json.loads(msgspec.json.encode(Ping("2026-11-20T12:00:00Z", [position]))))


async def test_the_documents_javascript_client_works() -> None:
    (example,) = code_blocks(API / "stream.md", language="javascript", heading="Example")
    fake = gateway()
    async with listening(fake.app()) as port:
        script = example.text.replace("localhost:8000", f"127.0.0.1:{port}")
        client = await asyncio.create_subprocess_exec(
            NODE, "-e", script, stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        try:
            first = await asyncio.wait_for(client.stdout.readline(), 20)
            fake.fleet.change(instances=[a_view("new", status="Stopped")])
            second = await asyncio.wait_for(client.stdout.readline(), 20)
        finally:
            client.kill()
            await client.communicate()

    assert first.decode() == "h1/default/test1 Running 47.5%\n"
    assert second.decode() == "h1/default/new Stopped 0%\n"
