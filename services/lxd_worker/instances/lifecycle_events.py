"""LXD's lifecycle events, and which instances each of them may have changed."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from shared.contracts.bounds import Name
from shared.lxd.models import LifecycleEvent

# These leave the instance as it is; `lxc exec` by a monitoring system alone would flood the fleet.
_HARMLESS = ("exec", "console", "log-", "file-", "backup-", "snapshot-", "metadata")


class AffectedInstance(Struct, frozen=True):
    """An instance that may have changed because of `action`."""

    project: str
    name: str
    action: str


def affected_instances(event: LifecycleEvent) -> list[AffectedInstance]:
    """Return the instances that may have changed, the old name of a renamed one first."""
    action = event.metadata.action
    kind, _, what = action.partition("-")
    if kind != "instance" or what.startswith(_HARMLESS):
        return []
    project, name = event.identity
    names = [name]
    if old := (event.metadata.context or {}).get("old_name"):
        names.insert(0, str(old))
    return [AffectedInstance(project, name, action) for name in names if _is_reportable(name)]


def affects_many(event: LifecycleEvent) -> bool:
    """Whether any instance may have changed: profiles are part of an instance's settings."""
    return event.metadata.action.startswith(("profile-", "project-"))


def _is_reportable(name: str) -> bool:
    """Whether a message can name such an instance; if not, no inventory holds it either."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        return False
    return True
