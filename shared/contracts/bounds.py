"""Bounds of the values in messages, so that no host can send one that harms a reader.

A message with a value out of bounds is not read at all: it becomes a dead letter, and the view of
its host stays as it was. So senders fit their values first: whatever LXD or a guest reports is cut
to these bounds, or left out.

Every field has an upper and a lower bound; `tests/contract/test_bounds.py` checks that.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

# The largest integer that databases and JSON parsers agree on.
MOST = 2**63 - 1
MOST_INSTANCES = 10_000
MOST_CORES = 2**16
# Linux has at most this many processes.
MOST_LOAD = 2**22
# Interfaces, disks, proxies, addresses or networks of one instance.
MOST_DEVICES = 256
MOST_PROFILES = 64
# Settings of one proxy; LXD has ten.
MOST_PROXY_OPTIONS = 16
# `user.*` keys of one instance.
MOST_USER_KEYS = 64
# Raw values of an error, and fields of an instance that an update can name.
MOST_VALUES = 16
LONGEST_WORD = 255
LONGEST_TEXT = 8192
# An excerpt of a program's output that explains a failure.
LONGEST_LINES = 4096
A_DAY_S = 86_400

# Characters that JSON or a database cannot store.
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")

Count = Annotated[int, Meta(ge=0, le=MOST)]
Cores = Annotated[int, Meta(ge=0, le=MOST_CORES)]
Seconds = Annotated[float, Meta(ge=0, le=MOST)]
# A time-out or an interval.
Duration = Annotated[float, Meta(ge=0, le=A_DAY_S)]
Percent = Annotated[float, Meta(ge=0, le=100)]
# Per second, or in percent of one core.
Rate = Annotated[float, Meta(ge=0, le=MOST)]
Load = Annotated[float, Meta(ge=0, le=MOST_LOAD)]
ExitStatus = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

Version = Annotated[str, Meta(max_length=16)]
# LXD's rule, except for the first character, on which older versions were less strict.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,63}\Z", max_length=63)]
# An id, or a keyword of LXD's.
Word = Annotated[str, Meta(max_length=LONGEST_WORD)]
# Free text written by people.
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Lines = Annotated[str, Meta(max_length=LONGEST_LINES)]
Port = Annotated[int, Meta(ge=1, le=65535)]
# RFC 3339 in UTC, so that text order is time order; empty: not yet.
Moment = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z)?\Z",
        max_length=30,
    ),
]


def clip(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return the first `longest` characters of a text, in a form that a message can carry."""
    return writable(text[:longest])


def writable(text: str) -> str:
    """Return a text that JSON and a database can store.

    A NUL, or a byte that Python read with surrogate escapes, becomes U+FFFD.
    """
    return _UNWRITABLE.sub("\ufffd", text)
