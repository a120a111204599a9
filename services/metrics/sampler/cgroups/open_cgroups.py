"""The cgroups of containers, found once for a run and kept open.

That a file which was kept open cannot be read any more is how a stop is seen before LXD tells of
it.
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
from services.metrics.sampler.ports import Monotonic
from services.metrics.sampler.reading import InstanceReading
from services.metrics.sampler.sanitize import Dropped
from services.metrics.sampler.usage import InstanceEnded, Usage
from shared.contracts.hosts import VIRTUAL_MACHINE

_MOST_FILES = 1 << 16


def allow_many_files() -> None:
    """Let this process hold seven open files for each of thousands of containers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class CgroupFiles:
    """The cgroups of this machine's containers, LXD's process numbers being ours too.

    If they are not (a daemon elsewhere, another pid namespace), nothing can be read.
    """

    def __init__(self, disk_name: DiskName, clock: Monotonic, proc: Path = Path("/proc")) -> None:
        self._disk_name = disk_name
        self._clock = clock
        self._proc = proc
        self._open: dict[object, OpenCgroup] = {}
        self._are_here = False

    def read(self, told: InstanceReading, dropped: Dropped) -> Usage | None:
        """Return what is counted of this run; None if it cannot be read; raise InstanceEnded."""
        cgroup = self._open.get(told.run) or self._opened(told)
        if cgroup is None:
            return None
        try:
            return cgroup.read(self._clock(), self._disk_name, dropped)
        except OSError as exc:
            self._close(told.run)
            raise InstanceEnded from exc

    def forget_others(self, running: Collection[InstanceReading]) -> None:
        """Close the files of all runs but these."""
        for run in self._open.keys() - {each.run for each in running}:
            self._close(run)

    def _opened(self, told: InstanceReading) -> OpenCgroup | None:
        if told.kind == VIRTUAL_MACHINE:
            return None
        cgroup = open_cgroup(self._directories(told))
        if cgroup is not None:
            self._open[told.run] = cgroup
            self._are_here = True
        return cgroup

    def _directories(self, told: InstanceReading) -> Directories:
        try:
            cgroup = self._text(str(told.pid), "cgroup")
            mounts = parse_mounts(self._text("self", "mountinfo"))
        except (FileNotFoundError, ProcessLookupError) as exc:
            if self._are_here:
                raise InstanceEnded from exc
            return {}
        except OSError:
            return {}
        return directories(cgroup, mounts, told.project, told.name)

    def _text(self, *path: str) -> str:
        # As the kernel's own paths are: the names in it are bytes, and may be a guest's.
        return os.fsdecode(self._proc.joinpath(*path).read_bytes())

    def _close(self, run: object) -> None:
        self._open.pop(run).close()
