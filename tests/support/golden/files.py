"""Golden files: compared with what is found, or written anew where that is asked for."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[2] / "contract" / "golden" / "api"
# Set to `accept`, what is found becomes what is expected; see the Makefile's `golden`.
SWITCH = "FLEET_GOLDEN"
HOW = f"an intended change is accepted with `make golden` ({SWITCH}=accept)"


def accepting() -> bool:
    """Whether what is found shall be written down instead of compared."""
    return os.environ.get(SWITCH) == "accept"


def compare(name: str, found: Any) -> None:
    """Fail the test with a unified diff where what is found is not what the file has."""
    file, text = GOLDEN / f"{name}.json", _text(found)
    if accepting():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    if text != expected:
        pytest.fail(f"{_diff(name, expected, text)}\n{HOW}", pytrace=False)


def compare_names(names: Iterable[str]) -> None:
    """Fail the test where there are files of no case."""
    there = {file.relative_to(GOLDEN).with_suffix("").as_posix() for file in _files()}
    for left_over in sorted(there - set(names)) if accepting() else ():
        (GOLDEN / f"{left_over}.json").unlink()
    if not accepting():
        assert there - set(names) == set(), HOW


def _files() -> Iterable[Path]:
    return GOLDEN.rglob("*.json")


def _text(found: Any) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _diff(name: str, expected: str, found: str) -> str:
    lines = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), f"{name} (golden)", f"{name} (now)", lineterm=""
    )
    return "\n".join(lines)
