"""Which instances an event of LXD's says to look at again."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from shared.contracts.bounds import Name
from shared.lxd.models import LifecycleEvent


class AffectedInstance(Struct, frozen=True):
    """An instance to look at because of `action`."""

    project: str
    name: str
    action: str


# These leave the instance as it is; monitoring by `lxc exec` alone would flood the fleet.
_HARMLESS = ("exec", "console", "log-", "file-", "backup-", "snapshot-", "metadata")


def touched(event: LifecycleEvent) -> list[AffectedInstance]:
    """Return the instances that may be different now, the old name of a renamed one first."""
    action = event.metadata.action
    kind, _, what = action.partition("-")
    if kind != "instance" or what.startswith(_HARMLESS):
        return []
    project, name = event.identity
    names = [name]
    if old := (event.metadata.context or {}).get("old_name"):
        names.insert(0, str(old))
    return [AffectedInstance(project, name, action) for name in names if _can_be_told(name)]


def touches_many(event: LifecycleEvent) -> bool:
    """Whether any instance may be different now: profiles are part of an instance's settings."""
    return event.metadata.action.startswith(("profile-", "project-"))


def _can_be_told(name: str) -> bool:
    """Whether a message can name such an instance; one that it cannot is in no inventory either."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        return False
    return True
