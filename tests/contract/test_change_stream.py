"""The stream of changes over a real server: who may watch, and what docs/api/ says of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from websockets.asyncio.client import connect

from deploy.local.console_page import NODE
from services.gateway.ws.stream_connection import Ping
from services.gateway.ws.topic_channel import Position
from shared.contracts.events import PolicyRunChanged
from shared.contracts.operations import Failure, State
from shared.contracts.policies import RunState
from tests.support.builders import a_run, an_operation
from tests.support.documents import API, code_blocks
from tests.support.gateway_http import LOOPBACK, listening
from tests.support.golden.fleet import GoldenGateway
from tests.support.views import a_view
from tests.support.watching import gateway, message

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
        "usage",
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


async def test_runs_and_the_protection_of_instances_are_as_described() -> None:
    golden = GoldenGateway(settings=LOOPBACK)
    async with listening(golden.app()) as port, stream(port, "?topic=snapshots") as viewer:
        state = await message(viewer)
        golden.hear("h1", PolicyRunChanged(run=a_run("run-2", state=RunState.RUNNING)))
        delta = await message(viewer)

    check(state)
    check(delta)
    assert {entry["kind"] for entry in state["entries"].values()} == {"run", "protection"}
    assert next(iter(state["entries"])) == "run/h1/run-1"
    assert list(delta["changed"]) == ["run/h1/run-2"]


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


async def test_the_use_of_what_is_named_is_as_described() -> None:
    async with listening(gateway().app()) as port, stream(port) as viewer:
        request = {"type": "subscribe", "topic": "usage", "keys": ["h1/default/test1"]}
        check(request)
        await viewer.send(json.dumps(request))
        usage = await message(viewer)

    check(usage)
    assert usage["entries"]["h1/default/test1"]["cpu_percent"] == 47.5


async def test_a_hundred_viewers_of_the_same_cost_one_reading() -> None:
    fake = gateway()
    async with listening(fake.app()) as port:
        viewers = [await stream(port, "?topic=instances") for _ in range(100)]
        await asyncio.gather(*[message(viewer) for viewer in viewers])
        fake.fleet.change(instances=[a_view("new")])
        told = await asyncio.gather(*[viewer.recv() for viewer in viewers])
        await asyncio.gather(*[viewer.close() for viewer in viewers])

    # The first one, then the one that is gone and the new one.
    assert fake.fleet.reads == 3
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

    assert first.decode() == "h1/default/test1 Running 10.0.0.100\n"
    assert second.decode() == "h1/default/new Stopped null\n"
