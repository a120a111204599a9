"""How LXD's instances are marked that are no instances of their own: roots beside another one.

A rebuild makes the new root as an instance of its own beside the old one, and keeps the old one
afterwards. Both have the instance's uuid. What is aside is without NICs, ports and whatever else
two instances cannot have, and does not start by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from shared.contracts.instances import Trash

# The operation that made the root; an instance that was never rebuilt has no such setting.
ROOT = "user.lxdfleet.root"
# `NAME UNTIL`: under this name it is in no list; after this Unix time it is deleted.
ASIDE = "user.lxdfleet.aside"
# What an instance had before it was set aside, as JSON.
KEPT = "user.lxdfleet.kept"
# `UUID NAME UNTIL SIZE`: the trash of an instance. A copy has another uuid, and so no trash.
TRASH = "user.lxdfleet.trash"
OURS = (ROOT, ASIDE, KEPT, TRASH)

_LONGEST_NAME = 63


class ParkedRoot(Struct, frozen=True, kw_only=True):
    """An instance that is set aside, by its place and the uuid that it shares."""

    project: str
    name: str
    uuid: str
    until: int


def names_for(operation_id: str, name: str) -> tuple[str, str]:
    """Return what the new root is called until it is in its place, and the old one afterwards."""
    mark = hashlib.sha256(operation_id.encode()).hexdigest()[:8]
    return tuple(  # type: ignore[return-value]
        f"{kind}-{mark}-{name}"[:_LONGEST_NAME].rstrip("-") for kind in ("new", "trash")
    )


def aside_name(config: Mapping[str, str]) -> str:
    """Return the name under which an instance is in no list; empty: it is no root set aside.

    Somebody who renames or copies one makes an instance of it that is his.
    """
    return config.get(ASIDE, "").partition(" ")[0]


def aside_of(project: str, name: str, config: Mapping[str, str]) -> ParkedRoot | None:
    """Return an instance as one that is set aside; None: it is an instance of its own."""
    marked, _, until = config.get(ASIDE, "").partition(" ")
    if not marked or marked != name:
        return None
    uuid = config.get("volatile.uuid", "")
    return ParkedRoot(project=project, name=name, uuid=uuid, until=_number(until))


def aside_mark(name: str, until: int) -> str:
    """Return the setting `ASIDE`."""
    return f"{name} {until}"


def trash_mark(uuid: str, trash: str, until: int, size: int | None) -> str:
    """Return the setting `TRASH`."""
    return f"{uuid} {trash} {until} {size or 0}"


def trash_of(config: Mapping[str, str]) -> Trash | None:
    """Return what a revert brings back; None where there is nothing, or it is another one's."""
    uuid, name, until, size, *_ = (*config.get(TRASH, "").split(" "), "", "", "", "")
    if not name or uuid != config.get("volatile.uuid"):
        return None
    return Trash(name=name, until=_moment(_number(until)), size=_number(size) or None)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _moment(unix: int) -> str:
    try:
        return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return ""
