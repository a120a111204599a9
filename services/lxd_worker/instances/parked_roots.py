"""Roots that are parked: instances of LXD's that hold another instance's root file system.

A rebuild makes the new root as an instance of its own beside the old one, and keeps the old one
afterwards. Both have the instance's uuid. A parked root has no NICs, no forwarded ports and nothing
else that two instances cannot share, does not start by itself, and is in no list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from shared.contracts.instances import Trash

# The operation that made the root; an instance that was never rebuilt has no such setting.
ROOT = "user.lxdfleet.root"
# `NAME UNTIL`: parked while the instance has this name, and deleted after this Unix time.
PARKED = "user.lxdfleet.aside"
# What an instance had before it was parked, as JSON.
PARKED_CONFIG = "user.lxdfleet.kept"
# `UUID NAME UNTIL SIZE`: the trash of an instance. A copy has another uuid, and so no trash.
TRASH = "user.lxdfleet.trash"
OURS = (ROOT, PARKED, PARKED_CONFIG, TRASH)

_LONGEST_NAME = 63


class ParkedRoot(Struct, frozen=True, kw_only=True):
    """An instance that is a parked root, by its place and the uuid that it shares."""

    project: str
    name: str
    uuid: str
    until: int


def names_for(operation_id: str, name: str) -> tuple[str, str]:
    """Return the new root's name until it is in place, and the old one's afterwards."""
    mark = hashlib.sha256(operation_id.encode()).hexdigest()[:8]
    return tuple(  # type: ignore[return-value]
        f"{kind}-{mark}-{name}"[:_LONGEST_NAME].rstrip("-") for kind in ("new", "trash")
    )


def parked_name(config: Mapping[str, str]) -> str:
    """Return the name under which an instance is hidden; empty if it is not parked.

    Whoever renames or copies a parked root makes an instance of his own of it.
    """
    return config.get(PARKED, "").partition(" ")[0]


def parked_root(project: str, name: str, config: Mapping[str, str]) -> ParkedRoot | None:
    """Return the parked root that an instance is; None: it is an instance of its own."""
    marked, _, until = config.get(PARKED, "").partition(" ")
    if not marked or marked != name:
        return None
    uuid = config.get("volatile.uuid", "")
    return ParkedRoot(project=project, name=name, uuid=uuid, until=_number(until))


def parked_mark(name: str, until: int) -> str:
    """Return the value of the setting `PARKED`."""
    return f"{name} {until}"


def trash_mark(uuid: str, trash: str, until: int, size: int | None) -> str:
    """Return the value of the setting `TRASH`."""
    return f"{uuid} {trash} {until} {size or 0}"


def trash_of(config: Mapping[str, str]) -> Trash | None:
    """Return what a revert brings back; None if there is nothing, or it is another instance's."""
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
