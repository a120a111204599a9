import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from deploy.local import bootstrap

HERE = Path("/here/.venv")


def test_the_same_sources_make_the_same_environment() -> None:
    first, second = (bootstrap.fingerprint([b"a", b"b"], "3.11", HERE) for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("sources", "python", "place"),
    [
        ([b"ab", b"c2"], "3.11", HERE),
        ([b"a", b"bc"], "3.11", HERE),
        ([b"ab", b"c"], "3.12", HERE),
        ([b"ab", b"c"], "3.11", Path("/there/.venv")),
    ],
)
def test_a_change_makes_another_environment(sources: list[bytes], python: str, place: Path) -> None:
    before = bootstrap.fingerprint([b"ab", b"c"], "3.11", HERE)

    assert bootstrap.fingerprint(sources, python, place) != before


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((bootstrap.ROOT / "pyproject.toml").read_text())["project"]
    constraints = (bootstrap.ROOT / "constraints.txt").read_text().splitlines()

    asked = chain(project["dependencies"], *project["optional-dependencies"].values())

    assert {canonical(one) for one in asked} - {canonical(one) for one in constraints} == set()


def canonical(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()
