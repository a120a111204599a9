"""Find the cgroups of containers once per run, and keep them open.

An open file that can no longer be read reveals a stop before LXD reports it.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Collection
from pathlib import Path

from services.metrics.sampler.cgroups.open_cgroup import (
    Directories,
    DiskName,
    OpenCgroup,
    open_cgroup,
)
from services.metrics.sampler.cgroups.paths import directories, parse_mounts
from services.metrics.sampler.kernel_counters import InstanceEnded, Usage
from services.metrics.sampler.protocols import Monotonic
from services.metrics.sampler.reading import InstanceReading
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.hosts import VIRTUAL_MACHINE

_MOST_FILES = 1 << 16


def allow_many_files() -> None:
    """Raise this process's limit of open files: each of thousands of containers needs seven."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class CgroupFiles:
    """The cgroups of this machine's containers, if LXD's process ids are valid here.

    If not (a remote daemon, another pid namespace), nothing can be read.
    """

    def __init__(self, disk_name: DiskName, clock: Monotonic, proc: Path = Path("/proc")) -> None:
        self._disk_name = disk_name
        self._clock = clock
        self._proc = proc
        self._cgroups: dict[object, OpenCgroup] = {}
        self._has_found_any = False

    def read(self, instance: InstanceReading, dropped: Dropped) -> Usage | None:
        """Return the counters of a run; None if they cannot be read; raise InstanceEnded."""
        cgroup = self._cgroups.get(instance.run) or self._open(instance)
        if cgroup is None:
            return None
        try:
            return cgroup.read(self._clock(), self._disk_name, dropped)
        except OSError as exc:
            self._close(instance.run)
            raise InstanceEnded from exc

    def forget_others(self, running: Collection[InstanceReading]) -> None:
        """Close the files of all runs but these."""
        for run in self._cgroups.keys() - {each.run for each in running}:
            self._close(run)

    def _open(self, instance: InstanceReading) -> OpenCgroup | None:
        if instance.kind == VIRTUAL_MACHINE:
            return None
        cgroup = open_cgroup(self._directories(instance))
        if cgroup is not None:
            self._cgroups[instance.run] = cgroup
            self._has_found_any = True
        return cgroup

    def _directories(self, instance: InstanceReading) -> Directories:
        try:
            cgroup = self._text(str(instance.pid), "cgroup")
            mounts = parse_mounts(self._text("self", "mountinfo"))
        except (FileNotFoundError, ProcessLookupError) as exc:
            if self._has_found_any:
                raise InstanceEnded from exc
            return {}
        except OSError:
            return {}
        return directories(cgroup, mounts, instance.project, instance.name)

    def _text(self, *path: str) -> str:
        # Decoded like paths, as a guest may have chosen names in it of any bytes.
        return os.fsdecode(self._proc.joinpath(*path).read_bytes())

    def _close(self, run: object) -> None:
        self._cgroups.pop(run).close()
