from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import jsonschema
import pytest

from services.gateway.bilingual import is_chinese
from services.gateway.http.middleware.authentication import OPEN_PATHS
from services.gateway.http.v1.envelope import is_of
from tests.support.gateway_http import openapi

# Where a text may be the API documents' own: values of examples.
EXAMPLES = {"example", "examples"}
ENGLISH = {"Accept-Language": "en-GB,en;q=0.9"}


def routes() -> list[tuple[str, str, dict[str, Any]]]:
    paths = openapi()["paths"]
    return [(method, path, route) for path, ways in paths.items() for method, route in ways.items()]


ROUTES = routes()
NAMES = [f"{method} {path}" for method, path, _ in ROUTES]
SCHEMAS = openapi()["components"]["schemas"]


async def test_the_docs_load_nothing_from_the_internet(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text

    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    for source in sources:
        assert "//" not in source
        assert (await client.get(urljoin("/docs", source))).status_code == 200


@pytest.mark.parametrize(("method", "path", "route"), ROUTES, ids=NAMES)
def test_every_endpoint_is_tagged_summed_up_and_shows_its_answer(
    method: str, path: str, route: dict[str, Any]
) -> None:
    success = next(answer for status, answer in route["responses"].items() if status < "300")

    assert route["tags"]
    assert route["summary"]
    assert all(content["schema"] for content in success["content"].values())


@pytest.mark.parametrize(("method", "path", "route"), ROUTES, ids=NAMES)
def test_every_error_is_described_with_a_body_and_an_example(
    method: str, path: str, route: dict[str, Any]
) -> None:
    errors = {status: body for status, body in route["responses"].items() if status >= "400"}

    for body in errors.values():
        answer = body["content"]["application/json"]
        model = "VmFailure" if is_of(path) else "Problem"
        assert answer["schema"] == {"$ref": f"#/components/schemas/{model}"}
        assert all(text_of(example["value"]) for example in answer["examples"].values())


def text_of(body: dict[str, Any]) -> str:
    text: str = body["error"]["message"] if "error" in body else body["detail"]
    return text


@pytest.mark.parametrize(("method", "path", "route"), ROUTES, ids=NAMES)
def test_a_token_is_asked_for_where_the_gate_asks_for_one(
    method: str, path: str, route: dict[str, Any]
) -> None:
    schemes = {name for way in route.get("security", []) for name in way}

    assert schemes == (set() if path in OPEN_PATHS else {"HTTPBearer", "APIKeyHeader"})


def test_no_framework_error_body_is_described() -> None:
    assert "HTTPValidationError" not in json.dumps(openapi())


@pytest.mark.parametrize("name", [name for name in SCHEMAS if "enum" not in SCHEMAS[name]])
def test_every_schema_is_closed_and_has_examples_that_fit(name: str) -> None:
    schema = SCHEMAS[name]

    assert schema["additionalProperties"] is False
    assert schema["examples"]
    for example in schema["examples"]:
        jsonschema.validate(example, {**schema, "components": {"schemas": SCHEMAS}})


Place = tuple[str | int, ...]


def texts(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if isinstance(part, str):
            yield (*place, key), part
        elif isinstance(part, dict | list):
            yield from texts(part, (*place, key))


def is_described(place: Place) -> bool:
    return place[-1] in {"description", "summary"} and not EXAMPLES & {*place}


def test_the_english_description_has_nothing_chinese_but_the_documents_examples() -> None:
    chinese = {(place, text) for place, text in texts(openapi("en")) if is_chinese(text)}

    assert {text for _, text in chinese} == {"LXD管理面板API", "系统更新前的备份"}
    assert all("examples" in place for place, _ in chinese)


def test_all_of_the_chinese_description_is_chinese_but_codes() -> None:
    described = {text for place, text in texts(openapi()) if is_described(place)}

    codes = re.compile(r"\w+(、\w+)*")
    assert [text for text in described if not is_chinese(text) and not codes.fullmatch(text)] == []


def test_the_descriptions_are_the_same_but_for_their_texts() -> None:
    chinese, english = dict(texts(openapi())), dict(texts(openapi("en")))

    assert chinese.keys() == english.keys()
    for place, text in chinese.items():
        assert text == english[place] or is_chinese(text), place


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_the_description_is_in_the_callers_language(
    client: httpx.AsyncClient, path: str
) -> None:
    answers = [
        await client.get(path),
        await client.get(path, headers=ENGLISH),
        await client.get(path, params={"lang": "zh"}, headers=ENGLISH),
    ]

    assert [each.headers["content-language"] for each in answers] == ["zh", "en", "zh"]
    assert all("Accept-Language" in each.headers["vary"] for each in answers)
    assert ["LXD管理面板API" in each.text for each in answers] == [True, path != "/docs", True]
    assert answers[0].content == answers[2].content != answers[1].content


async def test_the_page_asks_for_the_description_in_its_own_language(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/docs", headers=ENGLISH)).text

    assert '<html lang="en">' in page
    assert "<title>LXD Panel API - Swagger UI</title>" in page
    assert "url: 'openapi.json?lang=en'" in page


async def test_no_other_language_is_known(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json", params={"lang": "fr"})

    assert answer.status_code == 422
