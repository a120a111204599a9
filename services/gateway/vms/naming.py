"""From the name that people give an instance to the one that LXD takes.

LXD wants letters, digits and hyphens, 63 at most, beginning with a letter; it is the host name of
the guest. People write what they like.
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
# What a name without any letter or digit that LXD would take begins with.
FALLBACK = "vm"

_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")


def display_name_of(instance: Instance) -> str:
    """Return what people call an instance: the name they gave it, else LXD's."""
    return instance.display_name or instance.name


def slug(display_name: str) -> str:
    """Return an LXD name that resembles a name: `Web Server` becomes `web-server`."""
    plain = unicodedata.normalize("NFKD", display_name).encode("ascii", "ignore").decode()
    words = _NOT_ALLOWED.sub("-", plain.lower()).strip("-")
    if not words or words[0].isdigit():
        words = f"{FALLBACK}-{words}".strip("-")
    return words[:LONGEST].strip("-")


def unique_name(display_name: str, taken: Container[str]) -> str:
    """Return the slug of a name, with the first number from 2 on that makes it one of its own."""
    wanted = slug(display_name)
    if wanted not in taken:
        return wanted
    suffixes = (f"-{number}" for number in count(2))
    names = (wanted[: LONGEST - len(suffix)].rstrip("-") + suffix for suffix in suffixes)
    return next(name for name in names if name not in taken)


def new_name(wanted: str, known: InstanceView, instances_of_host: Iterable[InstanceView]) -> str:
    """Return the name that LXD gets for a new display name; raise InstanceExists if it is taken."""
    others = [
        other.instance
        for other in instances_of_host
        if other.instance.project == known.instance.project
        and other.instance.name != known.instance.name
    ]
    if wanted in {display_name_of(other) for other in others}:
        raise InstanceExists(wanted)
    return unique_name(wanted, {other.name for other in others})
