"""No text of any request may hold a control character: every one there is, is tried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from services.gateway.free_text import RULE, has_control_characters
from services.gateway.http.messages import TEXTS
from services.gateway.ws.protocol import decode_message, parse_query
from shared.contracts.errors import InvalidInput
from tests.support.gateway_http import openapi
from tests.support.vms import gateway_of_vms

BELL = "a\x07"
DOCUMENT = openapi()
Schema = dict[str, Any]


class Place(NamedTuple):
    """Where a request holds a text: in its path, query, headers, or in a field of its body."""

    method: str
    path: str
    where: str
    name: str
    body: object = None


def places() -> Iterator[Place]:
    for path, ways in DOCUMENT["paths"].items():
        for method, route in ways.items():
            for parameter in route.get("parameters", ()):
                for _ in texts(parameter["schema"]):
                    yield Place(method, path, parameter["in"], parameter["name"])
            for body in bodies(route):
                for name, value in texts(body):
                    yield Place(method, path, "body", name, value)


def bodies(route: Schema) -> Iterator[Schema]:
    if "requestBody" in route:
        yield route["requestBody"]["content"]["application/json"]["schema"]


def texts(schema: Schema, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield each text within a schema, by its name, with a value that has a bell in it alone."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "properties" not in schema:  # there it only says more of the same fields
        for one in schema.get("anyOf", ()):
            yield from texts(one, name)
    if schema.get("type") == "string" and not {"enum", "const"} & schema.keys():
        yield name, BELL
    if "items" in schema:
        for inner, value in texts(schema["items"], f"{name}[]"):
            yield inner, [value]
    for key, field in schema.get("properties", {}).items():
        for inner, value in texts(field, f"{name}.{key}".lstrip(".")):
            yield inner, {key: value}
    yield from _of_table(schema, name)


def _of_table(schema: Schema, name: str) -> Iterator[tuple[str, object]]:
    tables = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    for table in tables:
        if isinstance(table, dict):
            yield f"{name}.key", {BELL: "value"}
            for inner, value in texts(table, f"{name}[]"):
                yield inner, {"key": value}


@pytest.mark.parametrize(
    "place",
    list(places()),
    ids=lambda place: f"{place.method} {place.path} {place.where} {place.name}",
)
async def test_a_control_character_is_refused_wherever_it_stands(place: Place) -> None:
    gateway = gateway_of_vms()
    path = place.path
    if place.where == "path":
        path = path.replace(f"{{{place.name}}}", quote(BELL))
    path = path.format(id="vm-u1", name="web", host="h1", snapshotId="s1")
    options = {"query": "params", "header": "headers"}.get(place.where)
    more: dict[str, Any] = {options: {place.name: BELL}} if options else {}
    if place.where == "body":
        more = {"json": place.body}

    async with gateway.client(headers={"Accept-Language": "en"}) as client:
        answer = await client.request(place.method, path, **more)

    assert answer.status_code == (400 if path.startswith("/api/v1") else 422)
    assert TEXTS[RULE].en in answer.text
    assert gateway.operations.submitted == []


@pytest.mark.parametrize("text", ["\0", "\b", "\r\n", "\x1b[2J", "\x7f", "\x80", "\x9b2J"])
def test_what_a_terminal_or_a_database_would_obey_is_no_text(text: str) -> None:
    assert has_control_characters(f"a{text}b")


@pytest.mark.parametrize("text", ["", "two\n\tlines", "系统更新前的备份", "\u2028", "\xa0", "👩‍💻"])
def test_what_people_write_is_text(text: str) -> None:
    assert not has_control_characters(text)


async def test_a_key_in_any_language_is_a_text() -> None:
    gateway = gateway_of_vms()
    async with gateway.client() as client:
        # Of its bytes in UTF-8 one is a control character in Latin-1.
        answer = await client.post(
            "/api/v1/vms/vm-u1/restart", headers={"Idempotency-Key": "键".encode()}
        )

    assert "键".encode().decode("latin-1")[1] == "\x94"
    assert answer.status_code == 200


@pytest.mark.parametrize("field", ["host", "name", "project", "after"])
def test_a_viewer_of_the_stream_may_not_send_one_either(field: str) -> None:
    message = json.dumps({"type": "subscribe", "topic": "instances", field: BELL})

    with pytest.raises(InvalidInput) as refused:
        decode_message(message)
    with pytest.raises(InvalidInput):
        parse_query({"topic": "instances", field: BELL})

    assert (refused.value.field, refused.value.rule) == (field, RULE)
