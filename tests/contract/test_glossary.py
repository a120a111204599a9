"""What the documents say of the code is so: the places in the glossary, the order of imports."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from tests.support.daemons import ROOT
from tests.support.documents import code_blocks

DOCS = ROOT / "docs"
CODE = (ROOT / "services", ROOT / "shared")
ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \| `([\w/]+\.py)` ((?:`\w+` ?)+)\|$", re.MULTILINE)
ROWS = ROW.findall((DOCS / "glossary.md").read_text(encoding="utf-8"))
PATH = re.compile(r"\b(?:services|shared|tests|deploy)/[\w/]+\.\w+")


def names_defined_in(path: str) -> set[str]:
    """Return the names of a module's classes and functions."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, kinds)}


def layers_of(container: str) -> list[str]:
    """Return the layers that import-linter holds inside a package, the uppermost first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == [container]
    ]
    return [str(layer) for layer in layers]


def test_every_row_of_the_glossary_has_a_place() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")

    rows = [line for line in text.splitlines() if line.startswith("| ")]

    headings = [line for line in rows if line.startswith("| word |")]
    assert len(ROWS) == len(rows) - len(headings) > 40


@pytest.mark.parametrize(("word", "path", "names"), ROWS, ids=[word for word, _, _ in ROWS])
def test_a_word_of_the_glossary_is_decided_where_it_says(word: str, path: str, names: str) -> None:
    assert set(re.findall(r"\w+", names)) <= names_defined_in(path)


@pytest.mark.parametrize(
    "container",
    ["services.gateway", "services.lxd_worker", "services.metrics", "services.snapshots"],
)
def test_the_architecture_tells_the_order_of_imports_that_is_enforced(container: str) -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")

    [told] = re.findall(rf"^{re.escape(container)}:\n((?:  .+\n)+)", text, re.MULTILINE)

    assert [layer.strip() for layer in told.splitlines()] == layers_of(container)


@pytest.mark.parametrize("document", ["architecture.md", "first-day.md", "glossary.md"])
def test_every_path_that_a_document_names_is_there(document: str) -> None:
    named = PATH.findall((DOCS / document).read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_module_of_a_walk_is_there() -> None:
    walks = code_blocks(DOCS / "architecture.md", heading="Five walks")
    modules = [f"/{path.relative_to(ROOT)}" for root in CODE for path in root.rglob("*.py")]

    named = [name for walk in walks for name in re.findall(r"[\w/]+\.py", walk.text)]

    missing = [name for name in named if not any(each.endswith(f"/{name}") for each in modules)]
    assert len(walks) == 5
    assert missing == []
