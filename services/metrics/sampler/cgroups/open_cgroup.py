"""Read the cgroup files of one run of a container, opened once.

A read costs a microsecond or two; `memory.stat` costs as much as all others together, so its parts
may be half a minute old. When the run ends its cgroup is deleted, and reading the open files fails.
The value of an unreadable file is unknown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from services.metrics.sampler.cgroups import files as cgroup_files
from services.metrics.sampler.cgroups.files import CountFile, CpuTime, ReadWritten
from services.metrics.sampler.kernel_counters import Details, DiskTraffic, Usage
from services.metrics.sampler.sanitize import (
    OUT_OF_RANGE,
    UNREADABLE,
    Dropped,
    block_devices,
    count,
    memory,
    seconds,
)
from shared.contracts.bounds import MOST
from shared.contracts.samples import BlockDevice, MemoryParts

T = TypeVar("T")

Directories = Mapping[str, Sequence[str]]

# Returns the name of a block device (`MAJOR:MINOR`); None if its traffic is not to be counted.
DiskName = Callable[[str], str | None]

_UNKNOWN = CpuTime(None)

# How old the parts of memory may be: they are for graphs, and have no rates.
PARTS_S = 30.0

# More than any of the files has: the longest has a line for each disk, and this is enough for 150.
_MOST_BYTES = 1 << 14


def open_cgroup(directories: Directories) -> OpenCgroup | None:
    """Open the files in these directories that exist; return None without that of the CPU time."""
    cpu = _open_first(cgroup_files.CPU, directories)
    return OpenCgroup(cpu, directories) if cpu else None


class OpenFile(Generic[T]):
    """An open cgroup file."""

    def __init__(self, descriptor: int, parse: Callable[[bytes], T]) -> None:
        self._descriptor = descriptor
        self._parse = parse

    def read(self) -> T:
        """Return the current value; raise OSError if the cgroup is gone.

        Raises ValueError, LookupError or ArithmeticError if the content is invalid.
        """
        content = os.pread(self._descriptor, _MOST_BYTES, 0)
        if len(content) == _MOST_BYTES:
            content = content[: content.rfind(b"\n") + 1]
        return self._parse(content)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class OpenCgroup:
    """The cgroup files of one run; `read` raises OSError once it has ended."""

    def __init__(self, cpu: OpenFile[CpuTime], directories: Directories) -> None:
        self._cpu = cpu
        self._modes = _open_first(cgroup_files.CPU_MODES, directories)
        self._memory = _open_first(cgroup_files.MEMORY, directories)
        self._parts = _open_first(cgroup_files.MEMORY_STAT, directories)
        self._swap = _open_first(cgroup_files.SWAP, directories)
        self._processes = _open_first(cgroup_files.PROCESSES, directories)
        self._disk = _open_first(cgroup_files.DISK, directories)
        self._operations = _open_first(cgroup_files.DISK_OPERATIONS, directories)
        self._last_parts: MemoryParts | None = None
        self._parts_due_s = float("-inf")

    def read(self, now_s: float, disk_name: DiskName, dropped: Dropped) -> Usage:
        """Return the current counters."""
        processes = count(_read(self._processes, dropped), dropped)
        if processes == 0:
            raise ProcessLookupError("the cgroup has no processes")
        devices = self._block_devices(disk_name, dropped)
        cpu = _read(self._cpu, dropped) or _UNKNOWN
        user_s, system_s = _read(self._modes, dropped) or cpu.modes or (None, None)
        return Usage(
            cpu_ns=count(cpu.ns, dropped),
            memory=count(_read(self._memory, dropped), dropped),
            processes=processes,
            disk=None if devices is None else _sum(devices, dropped),
            details=Details(
                seconds(user_s, dropped),
                seconds(system_s, dropped),
                self._memory_parts(now_s, dropped),
                devices,
            ),
        )

    def close(self) -> None:
        """Close all files."""
        files: Sequence[OpenFile[Any] | None] = (
            self._cpu,
            self._modes,
            self._memory,
            self._parts,
            self._swap,
            self._processes,
            self._disk,
            self._operations,
        )
        for file in files:
            if file is not None:
                file.close()

    def _memory_parts(self, now_s: float, dropped: Dropped) -> MemoryParts | None:
        if self._parts is not None and now_s >= self._parts_due_s:
            parts = _read(self._parts, dropped)
            if parts is not None:
                swap = _read(self._swap, dropped) if self._swap else parts.swap
                parts = memory(replace(parts, swap=swap), dropped)
            self._last_parts = parts
            self._parts_due_s = now_s + PARTS_S
        return self._last_parts

    def _block_devices(
        self, disk_name: DiskName, dropped: Dropped
    ) -> tuple[BlockDevice, ...] | None:
        disks = _read(self._disk, dropped)
        if disks is None:
            return None
        operations = _read(self._operations, dropped) or {}
        devices = [
            _block_device(name, counts.bytes, operations.get(device, counts.operations), dropped)
            for device, counts in disks.items()
            if (name := disk_name(device)) is not None
        ]
        return block_devices([each for each in devices if each is not None], dropped)


def _open_first(files: Sequence[CountFile[T]], directories: Directories) -> OpenFile[T] | None:
    for file in files:
        for directory in directories.get(file.controller, ()):
            try:
                descriptor = os.open(f"{directory}/{file.name}", os.O_RDONLY)
            except OSError:
                continue
            return OpenFile(descriptor, file.parse)
    return None


def _read(file: OpenFile[T] | None, dropped: Dropped) -> T | None:
    if file is None:
        return None
    try:
        return file.read()
    except (ValueError, LookupError, ArithmeticError):
        dropped[UNREADABLE] += 1
        return None


def _block_device(
    name: str, bytes_: ReadWritten, operations: ReadWritten | None, dropped: Dropped
) -> BlockDevice | None:
    read, written = bytes_
    reads, writes = operations or (None, None)
    if not (0 <= read <= MOST and 0 <= written <= MOST):
        dropped[OUT_OF_RANGE] += 1
        return None
    return BlockDevice(
        device=name,
        read_bytes=read,
        written_bytes=written,
        reads=count(reads, dropped),
        writes=count(writes, dropped),
    )


def _sum(devices: Sequence[BlockDevice], dropped: Dropped) -> DiskTraffic:
    return DiskTraffic(
        count(sum([each.read_bytes for each in devices]), dropped),
        count(sum([each.written_bytes for each in devices]), dropped),
    )
