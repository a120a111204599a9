"""Whoever follows a recipe of docs/extending.md to the letter has something that works.

Each recipe is carried out in a copy of the tree: files are written, changes made where their
context stands, commands run.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemons import ROOT
from tests.support.documents import CodeBlock, code_blocks

pytestmark = pytest.mark.timeout(600)

DOCUMENT = ROOT / "docs" / "extending.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
RECIPES = re.findall(r"^## (\d .+)$", TEXT, re.MULTILINE)
# What is said right before a block that is meant for a file.
ANNOUNCED = re.compile(r"^(.*)\n\n```(?:python|json|diff) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Reader:
    """Follows recipes in a copy of the tree."""

    tree: Path
    types_cache: Path

    def follow(self, block: CodeBlock) -> None:
        """Do what one block says."""
        language, _, path = block.language.partition(" ")
        if language == "sh":
            self.run(block.text)
        elif language == "diff":
            self.change(self.tree / path, block.text)
        else:
            self.write(self.tree / path, block.text)

    def run(self, commands: str) -> None:
        """Run commands; each must succeed."""
        own = {
            "MAKEFLAGS": "",  # those of the `make` that runs the tests are not for theirs
            "VENV": sys.prefix,
            "PYTHONPATH": str(self.tree),
            "MYPY_CACHE_DIR": str(self.types_cache),
        }
        ran = subprocess.run(
            ["sh", "-ec", commands],
            cwd=self.tree,
            env=os.environ | own,
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{commands}\n{ran.stdout}\n{ran.stderr}"

    def change(self, file: Path, diff: str) -> None:
        """Apply the hunks from the top to the bottom, each at the one place that it fits."""
        done, rest = "", file.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@\n", f"{diff}\n", flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            assert f"\n{rest}".count(f"\n{old}") == 1, f"{file.name} has not one place for\n{hunk}"
            before, _, rest = f"\n{rest}".partition(f"\n{old}")
            done += f"{before}\n{new}".removeprefix("\n")
        file.write_text(done + rest, encoding="utf-8")

    def write(self, file: Path, text: str) -> None:
        """Write a file that is not there yet."""
        assert not file.exists(), f"{file} is there already"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def types_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy has found here (`make check`), or in one copy, holds for most of the next."""
    cache = tmp_path_factory.mktemp("types")
    for database in (ROOT / ".mypy_cache").rglob("*.db"):
        copy = cache / database.relative_to(ROOT / ".mypy_cache")
        copy.parent.mkdir(exist_ok=True)
        # By SQLite, for somebody may be running mypy here.
        with closing(sqlite3.connect(database)) as found, closing(sqlite3.connect(copy)) as ours:
            found.backup(ours)
    return cache


@pytest.fixture
def reader(tmp_path: Path, types_cache: Path) -> Reader:
    """A reader with a copy of all that git knows, and this environment as its `.venv`."""
    tree = tmp_path / "tree"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.rstrip("\0").split("\0"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(sys.prefix)
    return Reader(tree, types_cache)


def test_each_block_is_announced_with_the_file_that_it_is_for() -> None:
    named = [block for block in code_blocks(DOCUMENT) if block.language != "sh"]

    announced = ANNOUNCED.findall(TEXT)

    assert len(announced) == len(named)
    for said_before, path in announced:
        assert f"`{path}`" in said_before


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe[0])
def test_a_recipe_that_is_followed_to_the_letter_works(reader: Reader, recipe: str) -> None:
    followed = [reader.follow(block) for block in code_blocks(DOCUMENT, heading=recipe)]

    assert len(followed) > 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_recipes_together_break_nothing_else(reader: Reader) -> None:
    for block in code_blocks(DOCUMENT):
        reader.follow(block)

    reader.run("make test-unit")
    reader.run("make test-contract PYTEST='--ignore tests/contract/test_extending.py'")
