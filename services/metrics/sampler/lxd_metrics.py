"""What LXD's own `/1.0/metrics` tell of instances beyond what their states do.

Lines of all instances stand in one text, and a virtual machine's agent names its disks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.metrics.sampler.kernel_counters import NO_DETAILS, Details
from services.metrics.sampler.reading import Identity
from services.metrics.sampler.sanitize import (
    MOST_DEVICE_CHARACTERS,
    OUT_OF_RANGE,
    UNREADABLE,
    Dropped,
    block_devices,
    memory,
    seconds,
    word,
)
from shared.contracts.bounds import MOST
from shared.contracts.samples import BlockDevice, MemoryParts

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
# LXD writes labels as they are, without escapes: what is no list of labels to the end, or names one
# twice, has got a quotation mark from a guest.
_LINE = re.compile(r"^(?:lxd|incus)_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"(?:,|\Z)')


class Series(NamedTuple):
    """One line: a metric without LXD's prefix, its labels and its value."""

    metric: str
    labels: dict[str, str]
    value: float


def details_in(metrics: str, dropped: Dropped) -> dict[Identity, Details]:
    """Return the details of each running instance in the text of LXD's metrics."""
    of_each: defaultdict[Identity, list[Series]] = defaultdict(list)
    for series in _parsed(metrics, dropped):
        of_each[series.labels["project"], series.labels["name"]].append(series)
    return {identity: _details(its, dropped) for identity, its in of_each.items()}


def _parsed(metrics: str, dropped: Dropped) -> Iterator[Series]:
    for metric, text, value in _LINE.findall(metrics):
        if metric not in _WANTED:
            continue
        labels = _labels(text)
        try:
            number = float(value)
        except ValueError:
            labels = None
        if labels is None or not _needed(metric) <= labels.keys():
            dropped[UNREADABLE] += 1
        elif 0 <= number <= MOST:
            yield Series(metric, labels, number)
        else:
            dropped[OUT_OF_RANGE] += 1


def _labels(text: str) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        label = _LABEL.match(text, at)
        if label is None or label[1] in labels:
            return None
        labels[label[1]] = label[2]
        at = label.end()
    return labels


def _needed(metric: str) -> set[str]:
    if metric == CPU_SECONDS:
        return {"project", "name", "mode"}
    return {"project", "name", "device"} if metric in DISK_COUNTS else {"project", "name"}


def _details(its: Sequence[Series], dropped: Dropped) -> Details:
    """Return what these lines tell; nothing where one of them is there twice.

    Then a guest has written one of the two, with a newline in a name, and nobody knows which.
    """
    modes: defaultdict[str, float] = defaultdict(float)
    parts: dict[str, int] = {}
    disks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    told = set()
    for metric, labels, value in its:
        told.add((metric, *map(labels.get, ("cpu", "mode", "device"))))
        if metric == CPU_SECONDS:
            modes[labels["mode"]] += value
        elif metric in MEMORY_PARTS:
            parts[MEMORY_PARTS[metric]] = int(value)
        else:
            disks[labels["device"]][DISK_COUNTS[metric]] = int(value)
    if len(told) < len(its):
        dropped[UNREADABLE] += 1
        return NO_DETAILS
    return Details(
        cpu_user_s=seconds(modes.get("user"), dropped),
        cpu_system_s=seconds(modes.get("system"), dropped),
        memory=memory(MemoryParts(**parts), dropped) if parts else None,
        block_devices=_block_devices(disks, dropped) or None,
    )


def _block_devices(disks: dict[str, dict[str, int]], dropped: Dropped) -> tuple[BlockDevice, ...]:
    named = {word(name, MOST_DEVICE_CHARACTERS, dropped): each for name, each in disks.items()}
    return block_devices(
        [
            BlockDevice(device=device, **counts)
            for device, counts in named.items()
            if device is not None and {"read_bytes", "written_bytes"} <= counts.keys()
        ],
        dropped,
    )
