"""Rejects control characters in the texts of requests, except tab and newline.

LXD cuts a value at a NUL and may then write nothing at all, PostgreSQL rejects it, and a terminal
that shows a list executes the others.
"""

from __future__ import annotations

import re

RULE = "control_characters"

# As patterns for OpenAPI; the second is for texts of one line.
PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"

_PLAIN = re.compile(PLAIN)


def has_control_characters(text: str) -> bool:
    """Whether a text holds a control character other than tab and newline."""
    return not _PLAIN.fullmatch(text)
