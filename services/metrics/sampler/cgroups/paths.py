"""Find the cgroups of an instance from the kernel's files about its first process.

The path is the kernel's, never built from the name, as a second daemon may have an instance of the
same name. The name only proves that the process is the instance's: in another pid namespace its id
may be any process's. Root inside can create cgroups below, with names of any bytes except `/` and a
newline: so only newlines end lines, and invalid UTF-8 becomes lone surrogates.
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
    """A mount point of a cgroup hierarchy, of the part below `root`."""

    controllers: frozenset[str]
    root: str
    point: str

    def directory(self, path: str) -> str | None:
        """Return the directory of a path in the hierarchy; None if it is not below the root."""
        root = self.root.rstrip("/")
        below = path == root or path.startswith(f"{root}/")
        return self.point + path[len(root) :] if below else None


def parse_mounts(mountinfo: str) -> list[Mount]:
    """Return the cgroup mounts in the text of a `/proc/PID/mountinfo`."""
    mounts = []
    for line in mountinfo.split("\n"):
        mount, _, filesystem = line.partition(" - ")
        kind, _, source_and_options = filesystem.partition(" ")
        if kind in ("cgroup", "cgroup2"):
            options = source_and_options.partition(" ")[2]
            names = frozenset({UNIFIED}) if kind == "cgroup2" else frozenset(options.split(","))
            fields = mount.split(" ")
            if len(fields) >= _FIELDS_TO_POINT:
                mounts.append(Mount(names, *fields[_FIELDS_BEFORE_ROOT:_FIELDS_TO_POINT]))
    return mounts


def directories(
    cgroup: str, mounts: Iterable[Mount], project: str, name: str
) -> Mapping[str, list[str]]:
    """Return the directories of the instance's cgroup by controller.

    `cgroup` is the text of its first process's `/proc/PID/cgroup`. Empty if the process is not that
    of such an instance.
    """
    mounts, own = list(mounts), _own_cgroup(project, name)
    by_controller: dict[str, list[str]] = {}
    for line in cgroup.split("\n"):
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if match := own.match(path):
            for controller in controllers.split(","):
                paths = [m.directory(match[0]) for m in mounts if controller in m.controllers]
                by_controller[controller] = [path for path in paths if path is not None]
    return by_controller


def _own_cgroup(project: str, name: str) -> re.Pattern[str]:
    """Return a pattern for a path up to the instance's own cgroup; its init may be further down.

    systemd moves itself to `.../init.scope`, which counts only its own usage.
    """
    full_name = name if project == DEFAULT_PROJECT else f"{project}_{name}"
    return re.compile(rf".*?/lxc\.payload\.{re.escape(full_name)}(-\d+)?(?=/|\Z)", re.DOTALL)
