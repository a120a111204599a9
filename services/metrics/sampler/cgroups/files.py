"""Which cgroup file holds which figure, and how to parse it.

LXD itself reads CPU time, memory and its parts, processes and disk traffic from these files. An
invalid file raises ValueError, LookupError or ArithmeticError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from msgspec import Struct

from shared.contracts.samples import MemoryParts

T = TypeVar("T")

# Stands for cgroup v2, which has one hierarchy for all controllers.
UNIFIED = ""

NS_PER_US = 1000
US_PER_S = 1_000_000
# `cpuacct.stat` counts hundredths of a second, whatever the kernel's own clock.
TICKS_PER_S = 100

# Seconds of CPU in user and in kernel mode.
Modes = tuple[float, float]
# Reads and writes, in bytes or operations.
ReadWritten = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CountFile(Generic[T]):
    """A file of an instance's cgroup in a controller's hierarchy."""

    controller: str
    name: str
    parse: Callable[[bytes], T]


class CpuTime(Struct, frozen=True):
    """CPU time since the start, None if unknown; `modes` is None if another file has them."""

    ns: int | None
    modes: Modes | None = None


class DiskCounts(Struct, frozen=True):
    """The counters of one device; `operations` is None if another file has them."""

    bytes: ReadWritten
    operations: ReadWritten | None = None


def cpuacct_usage(text: bytes) -> CpuTime:
    """Return the CPU time in a `cpuacct.usage`."""
    return CpuTime(int(text))


def cpuacct_stat(text: bytes) -> Modes:
    """Return the CPU time by mode in a `cpuacct.stat`.

    Both only ever grow, unlike those in `cpuacct.usage_all`, whose sum is not the CPU time.
    """
    _, user, _, system = text.split()
    return int(user) / TICKS_PER_S, int(system) / TICKS_PER_S


def cpu_stat(text: bytes) -> CpuTime:
    """Return the CPU time in a v2 `cpu.stat`."""
    counts = _counts(text)
    user, system = int(counts[b"user_usec"]), int(counts[b"system_usec"])
    return CpuTime(int(counts[b"usage_usec"]) * NS_PER_US, (user / US_PER_S, system / US_PER_S))


def throttled(text: bytes) -> dict[str, ReadWritten] | None:
    """Return the counters of each block device (`MAJOR:MINOR`) in one of `blkio.throttle.*`.

    None without any device, which need not mean that there was no traffic: current kernels count
    only devices on which some cgroup has a limit.
    """
    if text.startswith(b"Total"):
        return None
    # Every line is `DEVICE OPERATION NUMBER`, except the last, which is the total.
    words = text.split()
    read, written = {}, {}
    for device, operation, number in zip(words[::3], words[1::3], words[2::3], strict=False):
        if operation == b"Read":
            read[device] = int(number)
        elif operation == b"Write":
            written[device] = int(number)
    return {
        device.decode("ascii"): (read.get(device, 0), written.get(device, 0))
        for device in read | written
    } or None


def throttled_disks(text: bytes) -> dict[str, DiskCounts] | None:
    """Return the counters in `blkio.throttle.io_service_bytes_recursive`; see `throttled`."""
    disks = throttled(text) or {}
    return {device: DiskCounts(counts) for device, counts in disks.items()} or None


def io_stat_disks(text: bytes) -> dict[str, DiskCounts]:
    """Return the counters of each block device in an `io.stat`; v2 counts all traffic."""
    disks = {}
    for line in text.decode("ascii").split("\n"):
        names, values = _names_and_values(line)
        if names and "rbytes" in values:
            # Some kernels begin a line with devices without counters.
            disks[names[-1]] = DiskCounts(
                (int(values["rbytes"]), int(values["wbytes"])),
                (int(values["rios"]), int(values["wios"])),
            )
    return disks


def memory_parts(names: Mapping[str, bytes], text: bytes) -> MemoryParts:
    """Return the parts of the memory in a `memory.stat`, given their names there."""
    counts = _counts(text)
    return MemoryParts(
        **{part: int(counts[name]) for part, name in names.items() if name in counts}
    )


def _counts(text: bytes) -> dict[bytes, bytes]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _names_and_values(line: str) -> tuple[list[str], Mapping[str, str]]:
    words = line.split()
    values = dict(word.split("=", 1) for word in words if "=" in word)
    return [word for word in words if "=" not in word], values


# In v1 only names with `total` include the cgroups below; in v2 all do.
V1_MEMORY_PARTS = {
    "cached": b"total_cache",
    "rss": b"total_rss",
    "shmem": b"total_shmem",
    "mapped": b"total_mapped_file",
    "dirty": b"total_dirty",
    "writeback": b"total_writeback",
    "swap": b"total_swap",
    "unevictable": b"total_unevictable",
    "active_anon": b"total_active_anon",
    "active_file": b"total_active_file",
    "inactive_anon": b"total_inactive_anon",
    "inactive_file": b"total_inactive_file",
}
V2_MEMORY_PARTS = {
    "cached": b"file",
    "rss": b"anon",
    "shmem": b"shmem",
    "mapped": b"file_mapped",
    "dirty": b"file_dirty",
    "writeback": b"file_writeback",
    "unevictable": b"unevictable",
    "active_anon": b"active_anon",
    "active_file": b"active_file",
    "inactive_anon": b"inactive_anon",
    "inactive_file": b"inactive_file",
}

# The files that may hold a figure; the first that exists does.
CPU = (
    CountFile("cpuacct", "cpuacct.usage", cpuacct_usage),
    CountFile(UNIFIED, "cpu.stat", cpu_stat),
)
CPU_MODES = (CountFile("cpuacct", "cpuacct.stat", cpuacct_stat),)
MEMORY = (
    CountFile("memory", "memory.usage_in_bytes", int),
    CountFile(UNIFIED, "memory.current", int),
)
MEMORY_STAT = (
    CountFile("memory", "memory.stat", partial(memory_parts, V1_MEMORY_PARTS)),
    CountFile(UNIFIED, "memory.stat", partial(memory_parts, V2_MEMORY_PARTS)),
)
SWAP = (CountFile(UNIFIED, "memory.swap.current", int),)
PROCESSES = (
    CountFile("pids", "pids.current", int),
    CountFile(UNIFIED, "pids.current", int),
)
DISK: tuple[CountFile[dict[str, DiskCounts] | None], ...] = (
    CountFile("blkio", "blkio.throttle.io_service_bytes_recursive", throttled_disks),
    CountFile(UNIFIED, "io.stat", io_stat_disks),
)
DISK_OPERATIONS = (CountFile("blkio", "blkio.throttle.io_serviced_recursive", throttled),)
