from __future__ import annotations

import logging
import re
from pathlib import Path

import httpx
import pytest

from services import lxd_worker
from services.gateway import http
from services.gateway.http.errors import MOST_FIELDS, STATUS, HttpError, problem_text
from services.gateway.http.messages import TEXTS, translate
from services.gateway.http.messages.rules import WORKER_RULES
from services.gateway.http.messages.text import Text
from services.gateway.http.openapi import EXAMPLE_VALUES
from services.gateway.vms.placement import NoHostFits, NoHostForNow
from shared.contracts.errors import BY_CODE, InvalidInput
from shared.contracts.operations import Kind
from tests.support.gateway_http import FakeGateway

SOURCE, WORKER = Path(http.__file__).parent, Path(lxd_worker.__file__).parent


def raised_here() -> set[str]:
    """Return the codes of all HttpErrors that the HTTP side raises."""
    found = (
        re.findall(r'HttpError\(\s*"(\w+)"', file.read_text()) for file in SOURCE.rglob("*.py")
    )
    return {code for codes in found for code in codes}


@pytest.mark.parametrize("code", sorted(BY_CODE.keys() | raised_here()))
def test_every_error_has_a_status_and_a_text(code: str) -> None:
    assert 400 <= STATUS[code] < 600
    assert code in TEXTS


def test_no_status_stands_for_an_error_that_does_not_exist() -> None:
    placement = {NoHostFits.code, NoHostForNow.code}
    other = {"route_not_found", "method_not_allowed", "bad_request"} | placement

    assert set(STATUS) == BY_CODE.keys() | raised_here() | other


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("outcome", ["done", "already", "unfinished"])
def test_every_outcome_of_every_kind_has_a_text(kind: Kind, outcome: str) -> None:
    assert "test1" in translate(f"{kind.value}.{outcome}", "zh", name="test1", operation_id="op-1")


async def test_of_many_mistakes_the_first_are_told_and_the_rest_counted() -> None:
    body = {f"key{number}" + "x" * 300: 1 for number in range(3000)}
    async with FakeGateway().client(headers={"Accept-Language": "en"}) as client:
        own = await client.post("/api/instances/test1/stop", json=body)
        v1 = await client.post("/api/v1/vms", json=body)

    for answer in (own, v1):
        assert len(answer.content) < 20_000
        assert re.search(r"… \(\+\d{4}\)", answer.text)
    assert len(own.json()["errors"]) == MOST_FIELDS
    assert len(v1.json()["error"]["details"]["errors"]) == MOST_FIELDS


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", text))


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_both_languages_say_the_same(code: str) -> None:
    text: Text = TEXTS[code]

    assert text.zh
    assert text.en
    assert text.en.isascii()
    assert not text.zh.isascii()
    assert placeholders(text.zh) == placeholders(text.en)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_of_the_contracts_fills_its_text(code: str) -> None:
    kind = BY_CODE[code]
    wanted = kind.__init__.__code__.co_argcount - 1 if "__init__" in vars(kind) else 0
    error = kind(*[f"value{number}" for number in range(wanted)])

    for language in ("zh", "en"):
        text = problem_text(error, language)  # type: ignore[arg-type]
        assert "{" not in text
        assert all(value in text for value in _named(code, error.values))


def _named(code: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values that must stand in the text: not those the document leaves out."""
    return () if code in {"lxd_unavailable", "unreadable_message"} else values


@pytest.mark.parametrize("code", sorted(raised_here()))
def test_every_error_of_http_has_example_values(code: str) -> None:
    assert placeholders(TEXTS[code].zh) <= EXAMPLE_VALUES.keys()


@pytest.mark.parametrize("rule", sorted(WORKER_RULES))
def test_what_workers_say_is_known_by_their_own_words(rule: str) -> None:
    said = [file for file in WORKER.rglob("*.py") if f'"{rule}"' in file.read_text()]

    assert said
    assert problem_text(InvalidInput("name", rule), "zh") == f"name：{WORKER_RULES[rule].zh}"


def test_a_rule_is_told_in_the_callers_language_or_as_it_came() -> None:
    known, other = InvalidInput("name", "int_parsing"), InvalidInput("name", "like so")

    assert problem_text(known, "en") == "name: must be an integer"
    assert problem_text(other, "zh") == "name：like so"


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/api/nix", 404, "路径 /api/nix 不存在"),
        ("GET", "/api/instances/", 404, "路径 /api/instances/ 不存在"),
        ("GET", "/static-offline-docs/nix", 404, "路径 /static-offline-docs/nix 不存在"),
        ("PATCH", "/api/instances", 405, "/api/instances 不支持 PATCH"),
        ("POST", "/", 405, "/ 不支持 POST"),
    ],
)
async def test_unknown_routes_and_methods_answer_in_json(
    client: httpx.AsyncClient, method: str, path: str, status: int, detail: str
) -> None:
    answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


async def test_a_method_that_is_not_allowed_names_those_that_are(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.put("/api/health")

    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("accepted", "detail", "language"),
    [
        (None, "实例 nix 不存在", "zh"),
        ("en-GB,en;q=0.9", "Instance nix does not exist", "en"),
        ("fr", "实例 nix 不存在", "zh"),
    ],
)
async def test_errors_speak_the_callers_language(
    client: httpx.AsyncClient, accepted: str | None, detail: str, language: str
) -> None:
    headers = {} if accepted is None else {"Accept-Language": accepted}

    answer = await client.get("/api/instances/nix", headers=headers)

    assert answer.json()["detail"] == detail
    assert answer.headers["content-language"] == language


async def test_a_bug_is_logged_and_told_without_internals(
    gateway: FakeGateway, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.fleet.known_instances = [None]  # type: ignore[list-item]

    answer = await client.get("/api/instances")

    assert answer.status_code == 500
    assert answer.json() == {"detail": "服务器内部错误", "code": "internal_error"}
    assert answer.headers["x-request-id"]
    [line] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert line.exc_info is not None
    assert line.exc_info[0] is AttributeError


def test_a_code_without_a_text_is_a_bug() -> None:
    with pytest.raises(KeyError):
        problem_text(HttpError("of_the_future"), "zh")
