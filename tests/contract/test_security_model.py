"""The security model names a test for each of its claims: each is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
MODEL = TESTS.parent / "docs" / "security-model.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def names_in(file: Path) -> set[str]:
    """Return the names of a file's tests; none where there is no file."""
    if not file.is_file():
        return set()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, kinds)}


def test_every_test_that_the_security_model_names_is_there() -> None:
    named = NAMED.findall(MODEL.read_text())

    missing = [f"{file}::{name}" for file, name in named if name not in names_in(TESTS / file)]

    assert len(named) > 50
    assert missing == []
