"""Each link of the description leads somewhere: what it takes of an answer names what is there."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.support.gateway_http import openapi
from tests.support.living_gateway import TOKEN, a_gateway

BEARER = {"Authorization": f"Bearer {TOKEN}"}
DOCUMENT = openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, ways in DOCUMENT["paths"].items()
    for method, operation in ways.items()
}
BY_ID = {operation["operationId"]: name for name, operation in OPERATIONS.items()}
# What is there from the beginning.
NAMES = {"id": "vm-u0", "snapshotId": "before", "name": "i0", "host": "h1"}
BODIES = {"POST /api/v1/vms/actions": {"action": "stop", "ids": ["vm-u0"]}}


def links_of(operation: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return where an operation's answers lead, and what is to be taken from them for it."""
    return {
        BY_ID[link["operationId"]]: link["parameters"]
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }


SOURCES = [name for name, operation in OPERATIONS.items() if links_of(operation)]


async def send(client: httpx.AsyncClient, name: str, values: dict[str, str]) -> httpx.Response:
    """Send a good request with these parameters, `path.id` for one."""
    method, path = name.split(" ")
    for place, value in values.items():
        path = path.replace(f"{{{place.removeprefix('path.')}}}", value)
    assert "{" not in path
    query = {p.removeprefix("query."): v for p, v in values.items() if p.startswith("query.")}
    return await client.request(method, path, params=query, json=body_of(name))


def body_of(name: str) -> Any:
    """Return the example of an operation's body; None: it needs none."""
    described = OPERATIONS[name].get("requestBody", {})
    if not described.get("required"):
        return None
    model = described["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return BODIES.get(name) or DOCUMENT["components"]["schemas"][model]["examples"][0]


def taken(expression: str, answer: httpx.Response, sent: dict[str, str]) -> str:
    """Return what a runtime expression of OpenAPI stands for."""
    if expression.startswith("$request.path."):
        return sent[expression.replace("$request.", "", 1)]
    if expression.startswith("$response.header."):
        return answer.headers[expression.removeprefix("$response.header.")]
    value = answer.json()
    for step in expression.removeprefix("$response.body#/").split("/"):
        value = value[int(step) if isinstance(value, list) else step]
    assert isinstance(value, str)
    return value


def code_of(answer: httpx.Response) -> str:
    body = answer.json()
    code: str = body["error"]["code"] if "error" in body else body["code"]
    return code


@pytest.mark.parametrize("source", SOURCES)
async def test_what_a_link_takes_of_an_answer_names_what_is_there(source: str) -> None:
    links = links_of(OPERATIONS[source])
    places = {f"path.{name}": NAMES[name] for name in re.findall(r"\{(\w+)\}", source)}
    async with a_gateway().client(headers=BEARER) as client:
        await send(client, "POST /api/v1/vms/{id}/stop", {"path.id": "vm-u1"})
        several = (
            {"query.limit": "1"}
            if re.fullmatch(r"GET \S+/(vms|instances|protection)", source)
            else {}
        )
        answer = await send(client, source, places | several)
        assert answer.is_success, answer.text
        for target in sorted(links, key=lambda name: name.startswith("DELETE ")):
            values = {where: taken(what, answer, places) for where, what in links[target].items()}
            reached = await send(client, target, values)
            assert reached.is_success or reached.status_code in {400, 409}, (target, reached.text)
            assert reached.is_success or code_of(reached) != "VALIDATION_ERROR", target


def test_every_list_and_every_creation_has_links() -> None:
    lists = {"/api/v1/vms", "/api/v1/vms/{id}/snapshots", "/api/instances", "/api/hosts"}

    assert {f"GET {path}" for path in lists} | {"GET /api/operations"} <= set(SOURCES)
    assert {"POST /api/v1/vms", "POST /api/v1/vms/{id}/snapshots"} <= set(SOURCES)
