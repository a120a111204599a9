"""LXD's projects: each has instances and events of its own, all share operations and images."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from tests.lxd_double.daemon import Daemon, Shared
from tests.lxd_double.faults import Faults
from tests.lxd_double.instances import DEFAULT, DoubledInstance

_CONFIG = {"features.storage.volumes": "true"}
_DEFAULT_CONFIG = {
    "features.images": "true",
    "features.networks": "true",
    "features.profiles": "true",
    **_CONFIG,
}


class Projects:
    """All that one LXD has; a project that nobody made has nothing in it.

    `config` is that of those that were made, by their names.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._shared = Shared()
        self._daemons: dict[str, Daemon] = {}
        self.config: dict[str, dict[str, str]] = {DEFAULT: dict(_DEFAULT_CONFIG)}
        self.default = self.of(DEFAULT)

    def of(self, name: str) -> Daemon:
        """Return what is in a project."""
        if name not in self._daemons:
            self._daemons[name] = Daemon(self._faults, name, self._shared)
        return self._daemons[name]

    def asked(self, request: web.Request) -> Daemon:
        """Return what is in the project that a request names."""
        return self.of(request.query.get("project", DEFAULT))

    def listed(self, request: web.Request) -> list[DoubledInstance]:
        """Return the instances that a request asks for: those of a project, or of all."""
        daemons = self._daemons.values() if everywhere(request) else [self.asked(request)]
        return [instance for daemon in daemons for instance in daemon.instances.values()]

    def add(self, instances: Iterable[DoubledInstance]) -> None:
        """Put instances into the projects that they name."""
        for instance in instances:
            self.config.setdefault(instance.project, dict(_CONFIG))
            self.of(instance.project).instances[instance.name] = instance


def everywhere(request: web.Request) -> bool:
    """Whether a request asks for all projects."""
    return request.query.get("all-projects") == "true"
