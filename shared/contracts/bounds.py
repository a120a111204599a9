"""What a value in a message may be at the most, so that no host can send one that harms a reader.

A message with a value out of bounds cannot be read at all: it goes to the dead letters, and what
was known of its host stays as it was. So whoever writes a message makes its values fit: what LXD or
a guest says is cut to these bounds, or left out, before it is sent.

Every field has a bound at both ends, which `tests/contract/test_bounds.py` looks for.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

# What a database, a JSON reader and a float can take as a number.
MOST = 2**63 - 1
MOST_INSTANCES = 10_000
MOST_CORES = 2**16
# Linux has at most so many processes to wait for a CPU.
MOST_LOAD = 2**22
# Interfaces, disks, proxies, addresses or networks of one instance.
MOST_DEVICES = 256
MOST_PROFILES = 64
# Settings of one proxy; LXD knows ten.
MOST_PROXY_OPTIONS = 16
# `user.*` keys of one instance.
MOST_USER_KEYS = 64
# Raw values of an error, and fields of an instance that a change can name.
MOST_VALUES = 16
LONGEST_WORD = 255
LONGEST_TEXT = 8192
# Of a program's output, where it explains a failure.
LONGEST_LINES = 4096
A_DAY_S = 86_400

# What JSON or a database cannot hold.
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")

Count = Annotated[int, Meta(ge=0, le=MOST)]
Cores = Annotated[int, Meta(ge=0, le=MOST_CORES)]
Seconds = Annotated[float, Meta(ge=0, le=MOST)]
# How long something may take, or until it is done again.
Duration = Annotated[float, Meta(ge=0, le=A_DAY_S)]
Percent = Annotated[float, Meta(ge=0, le=100)]
# So much in a second, or of one core.
Rate = Annotated[float, Meta(ge=0, le=MOST)]
Load = Annotated[float, Meta(ge=0, le=MOST_LOAD)]
ExitStatus = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

Version = Annotated[str, Meta(max_length=16)]
# LXD's rule, but for the first character: an older LXD was less strict with it.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,63}\Z", max_length=63)]
# An id, or one of LXD's own words.
Word = Annotated[str, Meta(max_length=LONGEST_WORD)]
# What people write themselves.
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Lines = Annotated[str, Meta(max_length=LONGEST_LINES)]
Port = Annotated[int, Meta(ge=1, le=65535)]
# RFC 3339 in UTC, so that the order of the texts is that of the times; empty: not yet.
Moment = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z)?\Z",
        max_length=30,
    ),
]


def clip(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return the beginning of a text, so many characters, as a message can carry it."""
    return writable(text[:longest])


def writable(text: str) -> str:
    """Return a text that JSON and a database can hold.

    A NUL, and what Python read with surrogate escapes, becomes U+FFFD.
    """
    return _UNWRITABLE.sub("\ufffd", text)
