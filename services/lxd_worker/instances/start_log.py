"""What LXD has written about an instance's start, as others may read it."""

from __future__ import annotations

import re

from shared.contracts.bounds import LONGEST_LINES, writable

MOST_LINES = 20

# What a container gets in its environment is its owner's, and may be a password.
_ENVIRONMENT = re.compile(r"(\benvironment\b\S*\s*[=:]\s*).*", re.IGNORECASE)
# Escape sequences of a terminal among them; a program's own words may be in there.
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")


def readable(raw: bytes) -> str:
    """Return a log's lines without control characters, and without anybody's environment."""
    text = writable(raw.decode(errors="replace").replace("\r\n", "\n"))
    return _ENVIRONMENT.sub(r"\1...", _CONTROL.sub("\ufffd", text))


def last_lines(log: str) -> str:
    """Return the last few lines of a log, as many as an operation's failure tells."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return "\n".join(lines[-MOST_LINES:])[-LONGEST_LINES:]
