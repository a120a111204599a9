"""What LXD's own `/1.0/metrics` tell of instances beyond what their states do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from services.metrics.domain.reading import Identity
from services.metrics.domain.usage import Details
from shared.contracts.instances import BlockDevice, MemoryParts

CPU_SECONDS = "cpu_seconds_total"
# LXD's metrics, and our names for what they tell.
MEMORY_PARTS = {
    "memory_Active_anon_bytes": "active_anon",
    "memory_Active_file_bytes": "active_file",
    "memory_Cached_bytes": "cached",
    "memory_Dirty_bytes": "dirty",
    "memory_Inactive_anon_bytes": "inactive_anon",
    "memory_Inactive_file_bytes": "inactive_file",
    "memory_Mapped_bytes": "mapped",
    "memory_RSS_bytes": "rss",
    "memory_Shmem_bytes": "shmem",
    "memory_Swap_bytes": "swap",
    "memory_Unevictable_bytes": "unevictable",
    "memory_Writeback_bytes": "writeback",
}
DISK_COUNTS = {
    "disk_read_bytes_total": "read_bytes",
    "disk_reads_completed_total": "reads",
    "disk_written_bytes_total": "written_bytes",
    "disk_writes_completed_total": "writes",
}

_WANTED = {CPU_SECONDS} | MEMORY_PARTS.keys() | DISK_COUNTS.keys()
_LINE = re.compile(r"(?:lxd|incus)_(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Series(NamedTuple):
    """One line: a metric without LXD's prefix, its labels and its value."""

    metric: str
    labels: dict[str, str]
    value: float


def details_in(metrics: str) -> dict[Identity, Details]:
    """Return the details of each running instance in the text of LXD's metrics."""
    of_each: defaultdict[Identity, list[Series]] = defaultdict(list)
    for series in _parsed(metrics):
        of_each[series.labels["project"], series.labels["name"]].append(series)
    return {identity: _details(its) for identity, its in of_each.items()}


def _parsed(metrics: str) -> Iterator[Series]:
    for metric, labels, value in _LINE.findall(metrics):
        if metric in _WANTED:
            yield Series(metric, dict(_LABEL.findall(labels)), float(value))


def _details(its: Iterable[Series]) -> Details:
    modes: defaultdict[str, float] = defaultdict(float)
    memory: dict[str, int] = {}
    disks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for metric, labels, value in its:
        if metric == CPU_SECONDS:
            modes[labels["mode"]] += value
        elif metric in MEMORY_PARTS:
            memory[MEMORY_PARTS[metric]] = int(value)
        else:
            disks[labels["device"]][DISK_COUNTS[metric]] = int(value)
    return Details(
        cpu_user_s=modes.get("user"),
        cpu_system_s=modes.get("system"),
        memory=MemoryParts(**memory) if memory else None,
        block_devices=_block_devices(disks) if disks else None,
    )


def _block_devices(disks: dict[str, dict[str, int]]) -> tuple[BlockDevice, ...]:
    return tuple(
        BlockDevice(device=device, **counts)
        for device, counts in disks.items()
        if {"read_bytes", "written_bytes"} <= counts.keys()
    )
