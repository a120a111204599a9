"""The API documents as tests read them: their code blocks, by language and heading."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.daemons import missing

API = Path(__file__).parents[2] / "docs" / "api"
INSTANCES_API = API / "instances-api.zh.md"
VMS_API = API / "vms-api-v1.zh.md"

_HEADING = re.compile(r"(#+) (.+)")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block; `headings` are those it stands under, the outermost first."""

    language: str
    headings: tuple[str, ...]
    text: str

    @property
    def heading(self) -> str:
        """The nearest heading."""
        return self.headings[-1] if self.headings else ""

    def json(self) -> Any:
        """Return the block's value."""
        return json.loads(self.text)


def code_blocks(
    document: Path, *, language: str | None = None, heading: str | None = None
) -> list[CodeBlock]:
    """Return a document's code blocks in order; `heading` must be one that a block stands under.

    A document without such a block is not the one the test was written for: LookupError.
    """
    found = [
        block
        for block in _blocks(document.read_text(encoding="utf-8").splitlines())
        if language in {None, block.language} and (heading is None or heading in block.headings)
    ]
    if not found:
        raise LookupError(f"{document.name} has no {language} block under {heading!r}")
    return found


def shape(value: Any) -> Any:
    """Return the keys and types of a value, all the way down."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value)


def without_additions(value: Any, example: Any) -> Any:
    """Return a value without the keys that the document's example does not have."""
    if isinstance(example, dict):
        return {key: without_additions(value[key], inner) for key, inner in example.items()}
    if isinstance(example, list):
        return [without_additions(inner, example[0]) for inner in value]
    return value


def _blocks(lines: list[str]) -> Iterator[CodeBlock]:
    headings: list[tuple[int, str]] = []
    block: list[str] | None = None
    language = ""
    for line in lines:
        if line.startswith("```") and block is None:
            block, language = [], line.removeprefix("```").strip()
        elif line.startswith("```") and block is not None:
            yield CodeBlock(language, tuple(title for _, title in headings), "\n".join(block))
            block = None
        elif block is not None:
            block.append(line)
        elif heading := _HEADING.fullmatch(line):
            level = len(heading[1])
            headings = [entry for entry in headings if entry[0] < level] + [(level, heading[2])]


def run_example(document: Path, language: str, heading: str, *command: str, more: str = "") -> str:
    """Give a document's example in this language to a program, then `more`; return what it prints.

    The test is left out where there is no such program.
    """
    if shutil.which(command[0]) is None:
        missing(f"{command[0]} is not installed")
    (example,) = code_blocks(document, language=language, heading=heading)
    text = f"{example.text}\n{more}"
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=True, timeout=100
    )
    return done.stdout
