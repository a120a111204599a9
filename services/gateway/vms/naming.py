"""Derives an instance's LXD name from its display name.

LXD requires up to 63 letters, digits and hyphens, starting with a letter, as it is the host name of
the guest; a display name is any text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from itertools import count

from services.gateway.fleet.views import InstanceView
from shared.contracts.errors import InstanceExists
from shared.contracts.instances import Instance

LONGEST = 63
# The prefix of a name without a letter at its start.
FALLBACK = "vm"

_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")


def display_name_of(instance: Instance) -> str:
    """Return an instance's display name, else its LXD name."""
    return instance.display_name or instance.name


def slug(display_name: str) -> str:
    """Return an LXD name for a display name: `Web Server` becomes `web-server`."""
    plain = unicodedata.normalize("NFKD", display_name).encode("ascii", "ignore").decode()
    words = _NOT_ALLOWED.sub("-", plain.lower()).strip("-")
    if not words or words[0].isdigit():
        words = f"{FALLBACK}-{words}".strip("-")
    return words[:LONGEST].strip("-")


def unique_name(display_name: str, used: Container[str]) -> str:
    """Return the slug of a display name, with a number from 2 on if it is in use."""
    name = slug(display_name)
    if name not in used:
        return name
    suffixes = (f"-{number}" for number in count(2))
    names = (name[: LONGEST - len(suffix)].rstrip("-") + suffix for suffix in suffixes)
    return next(name for name in names if name not in used)


def new_name(
    display_name: str, instance: InstanceView, instances_of_host: Iterable[InstanceView]
) -> str:
    """Return the LXD name for a new display name; raise InstanceExists if it is in use."""
    others = [
        other.instance
        for other in instances_of_host
        if other.instance.project == instance.instance.project
        and other.instance.name != instance.instance.name
    ]
    if display_name in {display_name_of(other) for other in others}:
        raise InstanceExists(display_name)
    return unique_name(display_name, {other.name for other in others})
