"""Holds every answer of the API to its golden copy under `golden/api`.

A difference is an improvement that the CHANGELOG names, or a mistake. `make golden` accepts what is
answered now; CONTRIBUTING.md says more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.support.gateway_http import openapi
from tests.support.golden import files, instances, streams, vms
from tests.support.golden.exchanges import Case, described, recorded
from tests.support.golden.fleet import GoldenGateway

OPENAPI, OPENAPI_IN_ENGLISH = "openapi", "openapi-in-english"
CASES = [*instances.cases(), *vms.cases(), *streams.cases()]
NAMES = [case.name for case in CASES]


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the gateway's local time be another one than UTC, and the same everywhere."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC-8")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("case", CASES, ids=NAMES)
async def test_the_answer_is_the_golden_one_and_as_described(case: Case) -> None:
    record = await recorded(case)

    files.compare(case.name, record)
    if case.method != "WS" and "fields=" not in case.path:  # then it is of these fields only
        require_described(case, record)


def require_described(case: Case, record: dict[str, Any]) -> None:
    """Raise jsonschema.ValidationError where the description has another answer of an endpoint."""
    document = openapi()
    # `/runs` before `/{id}`, as routes are looked for.
    fitting = [path for path in document["paths"] if is_at(case, path)]
    for path in sorted(fitting, key=lambda path: path.count("{"))[:1]:
        ways = document["paths"][path]
        if case.method.lower() in ways:
            answers = ways[case.method.lower()]["responses"]
            answer = answers.get(str(record["status"]), answers.get("default"))
            if answer is None:  # The instances API has no conditional changes.
                assert re.match(r"errors/\w+_changed_since-", case.name)
            elif content := answer["content"].get("application/json"):
                schema = content["schema"] | {"components": document["components"]}
                jsonschema.validate(record["body"], schema)


def is_at(case: Case, path: str) -> bool:
    """Return whether a case asks an endpoint, whose path has names in braces."""
    like = re.sub(r"\{\w+\}", "[^/]+", path)
    return re.fullmatch(like, case.path.partition("?")[0]) is not None


async def test_the_description_is_the_golden_one() -> None:
    chinese, english = await described()

    files.compare(OPENAPI, chinese)
    files.compare(OPENAPI_IN_ENGLISH, english)


def test_there_is_one_golden_file_for_each_case() -> None:
    assert len(set(NAMES)) == len(NAMES)
    files.compare_names([OPENAPI, OPENAPI_IN_ENGLISH, *NAMES])


def test_no_endpoint_is_without_a_golden_answer() -> None:
    for path, ways in GoldenGateway().app().openapi()["paths"].items():
        for method in ways:
            asked = [case for case in CASES if case.method == method.upper() and is_at(case, path)]
            assert asked, f"no case of {method.upper()} {path}"
