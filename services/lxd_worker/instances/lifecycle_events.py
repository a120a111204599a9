"""LXD's lifecycle events, and which instances each of them may have changed."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
from msgspec import Struct, field

from shared.contracts.bounds import Name
from shared.contracts.instances import DEFAULT_PROJECT

# These leave the instance as it is; `lxc exec` by a monitoring system alone would flood the fleet.
_HARMLESS = ("exec", "console", "log-", "file-", "backup-", "snapshot-", "metadata")


class LifecycleMetadata(Struct, frozen=True):
    """The part of an event that says what happened to what."""

    action: str = ""
    source: str = ""
    context: dict[str, object] | None = None


class LifecycleEvent(Struct, frozen=True):
    """An event as LXD sends it; fields that we do not read are ignored."""

    metadata: LifecycleMetadata = field(default_factory=LifecycleMetadata)
    project: str = DEFAULT_PROJECT
    location: str = ""


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
    names = [_name(event.metadata.source)]
    if old := (event.metadata.context or {}).get("old_name"):
        names.insert(0, str(old))
    project = event.project or DEFAULT_PROJECT
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


def _name(source: str) -> str:
    """Return the last part of `/1.0/instances/NAME`, with or without a query."""
    return unquote(source.partition("?")[0].rpartition("/")[2])
