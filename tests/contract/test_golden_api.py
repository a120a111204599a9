"""Holds every answer of the API to its golden copy under `golden/api`.

A difference is an improvement that the CHANGELOG names, or a mistake. `make golden` accepts what is
answered now; CONTRIBUTING.md says more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

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
async def test_the_answer_is_the_golden_one(case: Case) -> None:
    files.compare(case.name, await recorded(case))


async def test_the_description_is_the_golden_one() -> None:
    chinese, english = await described()

    files.compare(OPENAPI, chinese)
    files.compare(OPENAPI_IN_ENGLISH, english)


def test_there_is_one_golden_file_for_each_case() -> None:
    assert len(set(NAMES)) == len(NAMES)
    files.compare_names([OPENAPI, OPENAPI_IN_ENGLISH, *NAMES])


def test_no_endpoint_is_without_a_golden_answer() -> None:
    asked = [f"{case.method} {case.path.partition('?')[0]}" for case in CASES]

    for path, ways in GoldenGateway().app().openapi()["paths"].items():
        for method in ways:
            like = re.compile(re.sub(r"\{\w+\}", "[^/]+", f"{method.upper()} {path}"))
            assert any(map(like.fullmatch, asked)), f"no case of {method.upper()} {path}"
