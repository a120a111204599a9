"""What any text of a request may hold: every character but control characters.

LXD cuts a value at a NUL and may then write nothing at all, PostgreSQL takes none, and a terminal
that shows a list obeys the others. Tab and newline are text.
"""

from __future__ import annotations

import re

RULE = "control_characters"

# As patterns that OpenAPI can tell; the second is for what has to stand on one line.
PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"

_PLAIN = re.compile(PLAIN)


def has_control_characters(text: str) -> bool:
    """Whether a text holds a control character other than tab and newline."""
    return not _PLAIN.fullmatch(text)
