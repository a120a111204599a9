"""Seen: schemathesis, which tries what `/openapi.json` allows, was refused again and again.

Rules were enforced that the description did not tell: which `fields` there are, how an instance may
be called, that a parameter is never `null`, that a network has the name that its type asks for.
Nothing linked one request to the next either, so that it tried entries that do not exist.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.http.dependencies import INSTANCE_NAME
from services.gateway.http.field_selection import chosen, pattern
from services.gateway.responses.vms import FIELDS
from shared.contracts.errors import InvalidInput
from tests.support.gateway_http import FakeGateway, openapi

DOCUMENT = openapi()
PARAMETERS = [
    (f"{method.upper()} {path} {parameter['name']}", parameter)
    for path, ways in DOCUMENT["paths"].items()
    for method, way in ways.items()
    for parameter in way.get("parameters", ())
]


def named(name: str) -> list[dict[str, Any]]:
    return [parameter["schema"] for _, parameter in PARAMETERS if parameter["name"] == name]


@pytest.mark.parametrize(("where", "parameter"), PARAMETERS, ids=[where for where, _ in PARAMETERS])
def test_no_parameter_may_be_null(where: str, parameter: dict[str, Any]) -> None:
    assert "null" not in str(parameter["schema"]), where


def test_a_version_is_described_as_it_is_read() -> None:
    schemas = named("X-Fleet-Version")

    assert schemas
    for schema in schemas:
        jsonschema.validate("h1:42", schema)
        for wrong in ("0", "h1", "h1:", ":42", "h 1:42"):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, schema)


def test_fields_are_described_as_they_are_read() -> None:
    [own, v1] = named("fields")

    for schema, field in ((own, "ipv4"), (v1, "createdAt")):
        jsonschema.validate(f"name, {field}", schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate("name,nix", schema)


@settings(max_examples=200)
@given(st.from_regex(pattern(FIELDS), fullmatch=True) | st.text(alphabet="name, cpu\t"))
def test_what_fits_the_rule_of_fields_is_taken_and_nothing_else(text: str) -> None:
    try:
        chosen(text, FIELDS)
    except InvalidInput:
        taken = False
    else:
        taken = True

    assert taken == bool(re.fullmatch(pattern(FIELDS), text))


def test_an_instances_name_is_described_as_it_is_read() -> None:
    assert {schema["pattern"] for schema in named("name")} == {INSTANCE_NAME}


def of(model: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model}", "components": DOCUMENT["components"]}


BODIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("VmNetwork", {"type": "bridge", "bridge": "br0"}, {"type": "bridge", "name": "br0"}),
    ("VmNetwork", {"type": "network", "name": "n", "bridge": None}, {"type": "network"}),
    ("VmSelector", {"status": "stopped"}, {}),
    ("VmSelector", {"label": ["env"], "host": None}, {"label": [], "host": None}),
    ("VmActions", {"action": "stop", "ids": ["a"]}, {"action": "stop"}),
    (
        "VmActions",
        {"action": "stop", "ids": None, "selector": {"host": "h1"}},
        {"action": "stop", "ids": ["a"], "selector": {"host": "h1"}},
    ),
    ("VmUpdate", {"labels": {"env": "prod"}}, {"labels": {"a b": "prod"}}),
    ("VmUpdate", {"cpu": 2.0}, {"cpu": 0}),
    ("VmUpdate", {"limits": {"disk": {"readMbyte": 0}}}, {"limits": {"disk": {"readMbyte": 1e-9}}}),
    ("VmPassword", {"password": None}, {"password": "2 short"}),
    ("VmPortsChange", {"forwards": [{"connect": 22.0}]}, {"forwards": [{"connect": 70000}]}),
]


@pytest.mark.parametrize(("model", "right", "wrong"), BODIES)
def test_a_body_is_described_as_it_is_read(
    model: str, right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    jsonschema.validate(right, of(model))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, of(model))


async def test_whole_numbers_with_a_point_are_whole_numbers() -> None:
    """JSON Schema takes 22.0 for an integer, and so do we, for ports as for sizes."""
    async with FakeGateway().client() as client:
        answer = await put_ports(client, 22.0)
        wrong = await put_ports(client, 22.5)

    assert answer.status_code == 200
    assert wrong.status_code == 400


async def put_ports(client: httpx.AsyncClient, connect: float) -> httpx.Response:
    forwards = [{"connect": connect}]
    return await client.put("/api/v1/vms/test1/ports", json={"forwards": forwards})


def test_there_are_links_from_lists_and_creations() -> None:
    listed = DOCUMENT["paths"]["/api/v1/vms"]["get"]["responses"]["200"]["links"]
    created = DOCUMENT["paths"]["/api/v1/vms"]["post"]["responses"]["201"]["links"]
    one = DOCUMENT["paths"]["/api/v1/vms/{id}"]["get"]["operationId"]

    assert listed[one]["parameters"] == {"path.id": "$response.body#/data/vms/0/id"}
    assert created[one]["parameters"] == {"path.id": "$response.body#/data/id"}
