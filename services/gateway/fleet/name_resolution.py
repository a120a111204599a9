"""Which instance a name means: LXD's names are unique in a project of a host, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from services.gateway.fleet.views import InstanceView
from shared.contracts.errors import AmbiguousName, AmbiguousProject, InstanceNotFound
from shared.contracts.truncation import first_few


def require_unique(
    name: str, named: Iterable[InstanceView], host: str | None, project: str | None
) -> InstanceView:
    """Return the one instance of this name on the host and in the project, as far as they are told.

    Without a host a copy of another host's instance counts only where nothing else has the name.

    Raises InstanceNotFound; AmbiguousName when it stands on several hosts, and AmbiguousProject
    when it stands in several projects of one.
    """
    found = [
        known
        for known in named
        if host in {None, known.host} and project in {None, known.instance.project}
    ]
    if host is None:
        found = originals(found)
    if not found:
        raise InstanceNotFound(name)
    hosts = sorted({known.host for known in found})
    if len(hosts) > 1:
        raise AmbiguousName(name, first_few(hosts))
    if len(found) > 1:
        projects = sorted(known.instance.project for known in found)
        raise AmbiguousProject(name, hosts[0], first_few(projects))
    return found[0]


def originals(named: list[InstanceView]) -> list[InstanceView]:
    """Return those that are no copies, or all of them where each is one.

    A copy with its original's name must not stand in the original's way.
    """
    return [known for known in named if not known.duplicate] or named
