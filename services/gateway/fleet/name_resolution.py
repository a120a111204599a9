"""Resolve a name to an instance: LXD's names are unique in a project of a host only."""

from __future__ import annotations

from collections.abc import Iterable

from services.gateway.fleet.views import InstanceView
from shared.contracts.errors import AmbiguousName, AmbiguousProject, InstanceNotFound
from shared.contracts.truncation import first_few


def require_unique(
    name: str, named: Iterable[InstanceView], host: str | None, project: str | None
) -> InstanceView:
    """Return the only instance of this name on the host and in the project, where these are given.

    Without a host a duplicate counts only where nothing else has the name.

    Raises InstanceNotFound; AmbiguousName when several hosts have the name, and AmbiguousProject
    when several projects of one host have it.
    """
    found = [
        view
        for view in named
        if host in {None, view.host} and project in {None, view.instance.project}
    ]
    if host is None:
        found = originals(found)
    if not found:
        raise InstanceNotFound(name)
    hosts = sorted({view.host for view in found})
    if len(hosts) > 1:
        raise AmbiguousName(name, first_few(hosts))
    if len(found) > 1:
        projects = sorted(view.instance.project for view in found)
        raise AmbiguousProject(name, hosts[0], first_few(projects))
    return found[0]


def originals(named: list[InstanceView]) -> list[InstanceView]:
    """Return the instances that are no duplicates, or all where each is one.

    A duplicate with its original's name must not make the name ambiguous.
    """
    return [view for view in named if not view.duplicate] or named
