"""What any text of a request may hold: every character but control characters.

LXD cuts a value at a NUL and may then write nothing at all, PostgreSQL takes none, and a terminal
that shows a list obeys the others. Tab and newline are text.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

RULE = "control_characters"

# A pattern for what has to stand on one line.
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def has_control_characters(text: str) -> bool:
    """Whether a text holds a control character other than tab and newline."""
    return _CONTROL.search(text) is not None


def _without(value: object) -> object:
    """Return a value that is no text, or one without control characters."""
    if isinstance(value, str) and has_control_characters(value):
        raise PydanticCustomError(RULE, "a control character")
    return value


def _header_without(value: object) -> object:
    """Look at a header as its sender wrote it: in UTF-8, which HTTP reads as Latin-1."""
    if isinstance(value, str):
        _without(value.encode("latin-1", "replace").decode(errors="replace"))
    return value


# To be the last word on a text: its bounds stand before it, so that OpenAPI tells them.
WithoutControls = BeforeValidator(_without)
HeaderWithoutControls = BeforeValidator(_header_without)

FreeText = Annotated[str, WithoutControls]
HeaderText = Annotated[str, HeaderWithoutControls]
