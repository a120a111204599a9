from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from pydantic import BaseModel

from services.gateway.http import models
from services.gateway.http.middleware.authentication import OPEN_PATHS
from services.gateway.http.v1.envelope import is_of
from tests.support.gateway_http import openapi


def routes() -> list[tuple[str, str, dict[str, Any]]]:
    paths = openapi()["paths"]
    return [(method, path, route) for path, ways in paths.items() for method, route in ways.items()]


ROUTES = routes()
NAMES = [f"{method} {path}" for method, path, _ in ROUTES]


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


MODELS = [model for model in vars(models).values() if isinstance(model, type)]


@pytest.mark.parametrize(
    "model", [m for m in MODELS if issubclass(m, BaseModel) and m is not BaseModel]
)
def test_every_model_has_an_example_that_fits(model: type[BaseModel]) -> None:
    extra = model.model_config["json_schema_extra"]

    assert isinstance(extra, dict)
    for example in extra["examples"]:  # type: ignore[union-attr]
        model.model_validate(example, strict=True)
