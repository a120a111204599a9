"""Where the cgroups of an instance are, by what the kernel says of its first process.

The path is the kernel's, never made of the name: a second daemon's instance of the same name has
another. The name only proves that the process is the instance's; in another pid namespace its
number may be anybody's. Whoever is root inside makes cgroups below, whose names are any bytes but
`/` and a newline: so lines end at a newline only, and bytes that are no UTF-8 are lone surrogates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.metrics.sampler.cgroups.files import UNIFIED
from shared.contracts.instances import DEFAULT_PROJECT

_FIELDS_BEFORE_ROOT, _FIELDS_TO_POINT = 3, 5


@dataclass(frozen=True, slots=True)
class Mount:
    """A place where a cgroup hierarchy can be read, from `root` in it on."""

    controllers: frozenset[str]
    root: str
    point: str

    def directory(self, path: str) -> str | None:
        """Return where this path of the hierarchy is; None when it is not below the root."""
        root = self.root.rstrip("/")
        below = path == root or path.startswith(f"{root}/")
        return self.point + path[len(root) :] if below else None


def parse_mounts(mountinfo: str) -> list[Mount]:
    """Return the cgroup mounts in the text of a `/proc/PID/mountinfo`."""
    mounts = []
    for line in mountinfo.split("\n"):
        place, _, what = line.partition(" - ")
        kind, _, source_and_options = what.partition(" ")
        if kind in ("cgroup", "cgroup2"):
            options = source_and_options.partition(" ")[2]
            names = frozenset({UNIFIED}) if kind == "cgroup2" else frozenset(options.split(","))
            fields = place.split(" ")
            if len(fields) >= _FIELDS_TO_POINT:
                mounts.append(Mount(names, *fields[_FIELDS_BEFORE_ROOT:_FIELDS_TO_POINT]))
    return mounts


def directories(
    cgroup: str, mounts: Iterable[Mount], project: str, name: str
) -> Mapping[str, list[str]]:
    """Return for each controller the directories of the instance's cgroup.

    `cgroup` is the text of its first process' `/proc/PID/cgroup`. Nothing is returned if that is
    not the process of such an instance.
    """
    mounts, own = list(mounts), _own_cgroup(project, name)
    found: dict[str, list[str]] = {}
    for line in cgroup.split("\n"):
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if match := own.match(path):
            for controller in controllers.split(","):
                places = [m.directory(match[0]) for m in mounts if controller in m.controllers]
                found[controller] = [place for place in places if place is not None]
    return found


def _own_cgroup(project: str, name: str) -> re.Pattern[str]:
    """Match a path up to the instance's own cgroup; its init may have moved further down.

    systemd does (`.../init.scope`), and there is counted only what it uses itself.
    """
    full_name = name if project == DEFAULT_PROJECT else f"{project}_{name}"
    return re.compile(rf".*?/lxc\.payload\.{re.escape(full_name)}(-\d+)?(?=/|\Z)", re.DOTALL)
