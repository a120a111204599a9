"""The note that NAT-VPS scripts write into a description: how to reach an instance from outside.

`name ssh password first last`, or `name ssh password`: the port for SSH, root's password (`-` for
none), and the first and last of the other ports. The form alone makes it a note, whatever the name
in it, as renaming or copying an instance does not change its note.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MASK = "********"
NO_PASSWORD = "-"  # noqa: S105 - it says that there is none

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LAST_PORT = 65535
_NAME_FIELD = re.compile(r"(\s*)\S+")
_PASSWORD_FIELD = re.compile(r"(\s*\S+\s+\S+\s+)\S+")

# First and last port.
Span = tuple[int, int]


class Note(NamedTuple):
    """The fields of a note; `password` and `ports` are None if it has none."""

    name: str
    ssh_port: int
    password: str | None
    ports: Span | None


def note_of(text: str) -> Note | None:
    """Parse a note; return None for any other text."""
    fields = text.split()
    if len(fields) not in {3, 5}:
        return None
    ssh_port, ports = port_of(fields[1]), span_of("-".join(fields[3:]))
    if ssh_port is None or (fields[3:] and ports is None):
        return None
    password = None if fields[2] == NO_PASSWORD else fields[2]
    return Note(fields[0], ssh_port, password, ports)


def mask_password(text: str) -> str:
    """Return a text, with the password masked if it is a note with one."""
    note = note_of(text)
    return text if note is None or note.password is None else replace_password(text, MASK)


def replace_password(text: str, password: str) -> str:
    """Return a note with its password, or its `-`, replaced."""
    return _PASSWORD_FIELD.sub(lambda match: match[1] + password, text, count=1)


def rename_note(text: str, old: str, new: str) -> str:
    """Return a text, with the name replaced if it is a note with the old one."""
    note = note_of(text)
    if note is None or note.name != old:
        return text
    return _NAME_FIELD.sub(lambda match: match[1] + new, text, count=1)


def span_of(text: str) -> Span | None:
    """Return the ports of `30000-30025`, or of one port; None for anything else."""
    low, dash, high = text.strip().partition("-")
    first = port_of(low)
    last = port_of(high) if dash else first
    return (first, last) if first and last and first <= last else None


def port_of(text: str) -> int | None:
    """Return a port number in plain digits; None for anything else."""
    if not _PORT.fullmatch(text.strip()) or int(text) > _LAST_PORT:
        return None
    return int(text)
