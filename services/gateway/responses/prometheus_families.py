"""The series of LXD's own `/1.0/metrics`, and how a sample holds the value of each.

Names, labels, types and help texts are those of LXD 5.0, so that dashboards made for it work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from msgspec import Struct

from shared.contracts.instances import Instance
from shared.contracts.samples import BlockDevice, InstanceSample, Interface, MemoryParts

COUNTER, GAUGE = "counter", "gauge"
NS_PER_S = 1_000_000_000
# Names of devices, projects and types that are escaped once: all instances share a few.
MOST_SHARED_LABELS = 1024
# At a NUL a scraper stops reading, and half a surrogate pair is no UTF-8: either would cost every
# series of the page.
_NO_LABEL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NO_PARTS = MemoryParts()

Value = int | float | None
# One series of each family of a section: its labels, and a value for each family.
Row = tuple[str, tuple[Value, ...]]


class MetricSubject(Struct, frozen=True, gc=False):
    """A measured instance, with its details, and the labels that it has in every family.

    Each detail is read from the sample once.
    """

    labels: str
    typed_labels: str
    sample: InstanceSample
    memory: MemoryParts
    interfaces: Sequence[Interface]
    block_devices: Sequence[BlockDevice]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    kind: str
    help: str


@dataclass(frozen=True, slots=True)
class Section:
    """Families that have the same series."""

    families: tuple[Family, ...]
    rows: Callable[[Sequence[MetricSubject]], Sequence[Row]]


def metric_subject(of_host: str, instance: Instance, sample: InstanceSample) -> MetricSubject:
    """Return an instance of the host with this label."""
    project, kind = shared_label("project", instance.project), shared_label("type", instance.type)
    labels = f'{of_host}name="{escaped(instance.name)}",{project[:-1]}'
    return MetricSubject(
        labels,
        f"{labels},{kind[:-1]}",
        sample,
        sample.memory or _NO_PARTS,
        sample.interfaces or (),
        sample.block_devices or (),
    )


def escaped(text: str) -> str:
    """Return the text as it may stand in a label; what no scraper would read is replaced."""
    readable = text if text.isprintable() else _NO_LABEL.sub("\N{REPLACEMENT CHARACTER}", text)
    return readable.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


@lru_cache(MOST_SHARED_LABELS)
def shared_label(name: str, value: str) -> str:
    """Return a label whose value many series share, with a comma."""
    return f'{name}="{escaped(value)}",'


def _cpu(subjects: Sequence[MetricSubject]) -> Sequence[Row]:
    return [
        (f'cpu="0",mode="{mode}",{subject.typed_labels}', (seconds,))
        for subject in subjects
        for mode, seconds in _cpu_modes(subject.sample)
        if seconds is not None
    ]


def _cpu_modes(sample: InstanceSample) -> Sequence[tuple[str, Value]]:
    modes = (("system", sample.cpu_system_s), ("user", sample.cpu_user_s))
    # LXD tells CPUs apart on cgroup v1 only; on v2 its figures are sums with the label 0, too.
    if sample.cpu_user_s is None and sample.cpu_ns is not None:
        return (("total", sample.cpu_ns / NS_PER_S), *modes)
    return modes


def _disks(subjects: Sequence[MetricSubject]) -> Sequence[Row]:
    return [
        (
            shared_label("device", disk.device) + subject.typed_labels,
            (disk.read_bytes, disk.reads, disk.written_bytes, disk.writes),
        )
        for subject in subjects
        for disk in subject.block_devices
    ]


def _filesystem(subjects: Sequence[MetricSubject]) -> Sequence[Row]:
    # LXD has no type here.
    return [
        (
            f'device="",fstype="",mountpoint="/",{subject.labels}',
            (
                free := _difference(subject.sample.disk_total, subject.sample.disk_used),
                free,
                subject.sample.disk_total,
            ),
        )
        for subject in subjects
    ]


def _memory(subjects: Sequence[MetricSubject]) -> Sequence[Row]:
    return [(subject.typed_labels, _memory_values(subject)) for subject in subjects]


def _memory_values(subject: MetricSubject) -> tuple[Value, ...]:
    sample, parts = subject.sample, subject.memory
    free = _difference(sample.memory_total, sample.memory_used)
    return (
        parts.active_anon,
        parts.active_file,
        _sum(parts.active_anon, parts.active_file),
        parts.cached,
        parts.dirty,
        parts.inactive_anon,
        parts.inactive_file,
        _sum(parts.inactive_anon, parts.inactive_file),
        parts.mapped,
        _sum(free, parts.cached),
        free,
        sample.memory_total,
        parts.rss,
        parts.shmem,
        parts.swap,
        parts.unevictable,
        parts.writeback,
    )


def _network(subjects: Sequence[MetricSubject]) -> Sequence[Row]:
    return [
        (
            shared_label("device", nic.device) + subject.typed_labels,
            (
                nic.rx_bytes,
                nic.rx_dropped,
                nic.rx_errors,
                nic.rx_packets,
                nic.tx_bytes,
                nic.tx_dropped,
                nic.tx_errors,
                nic.tx_packets,
            ),
        )
        for subject in subjects
        for nic in subject.interfaces
    ]


def _processes(subjects: Sequence[MetricSubject]) -> Sequence[Row]:
    return [(subject.typed_labels, (subject.sample.processes,)) for subject in subjects]


def _sum(first: Value, second: Value) -> Value:
    return None if first is None or second is None else first + second


def _difference(whole: Value, part: Value) -> Value:
    return None if whole is None or part is None else max(0, whole - part)


def _families(
    name: str, kind: str, text: str, parts: Sequence[tuple[str, str]]
) -> tuple[Family, ...]:
    """Return families whose names and help texts differ in a part only."""
    return tuple(Family(name.format(part), kind, text.format(meaning)) for part, meaning in parts)


# The values of each section's rows are in the order of its families.
SECTIONS: tuple[Section, ...] = (
    Section(
        (
            Family(
                "lxd_cpu_seconds_total", COUNTER, "The total number of CPU time used in seconds."
            ),
        ),
        _cpu,
    ),
    Section(
        _families(
            "lxd_disk_{}_total",
            COUNTER,
            "The total number of {}.",
            (
                ("read_bytes", "bytes read"),
                ("reads_completed", "completed reads"),
                ("written_bytes", "bytes written"),
                ("writes_completed", "completed writes"),
            ),
        ),
        _disks,
    ),
    Section(
        _families(
            "lxd_filesystem_{}_bytes",
            GAUGE,
            "The {}.",
            (
                ("avail", "number of available space in bytes"),
                ("free", "number of free space in bytes"),
                ("size", "size of the filesystem in bytes"),
            ),
        ),
        _filesystem,
    ),
    Section(
        _families(
            "lxd_memory_{}_bytes",
            GAUGE,
            "The amount of {}.",
            (
                ("Active_anon", "anonymous memory on active LRU list"),
                ("Active_file", "file-backed memory on active LRU list"),
                ("Active", "memory on active LRU list"),
                ("Cached", "cached memory"),
                ("Dirty", "memory waiting to get written back to the disk"),
                ("Inactive_anon", "anonymous memory on inactive LRU list"),
                ("Inactive_file", "file-backed memory on inactive LRU list"),
                ("Inactive", "memory on inactive LRU list"),
                ("Mapped", "mapped memory"),
                ("MemAvailable", "available memory"),
                ("MemFree", "free memory"),
                # LXD 5.0 says "used memory", which it is not; later releases corrected it to this.
                ("MemTotal", "memory or configured memory limit"),
                ("RSS", "anonymous and swap cache memory"),
                ("Shmem", "cached filesystem data that is swap-backed"),
                ("Swap", "used swap memory"),
                ("Unevictable", "unevictable memory"),
                ("Writeback", "memory queued for syncing to disk"),
            ),
        ),
        _memory,
    ),
    Section(
        _families(
            "lxd_network_{}_total",
            COUNTER,
            "The amount of {} on a given interface.",
            (
                ("receive_bytes", "received bytes"),
                ("receive_drop", "received dropped bytes"),
                ("receive_errs", "received errors"),
                ("receive_packets", "received packets"),
                ("transmit_bytes", "transmitted bytes"),
                ("transmit_drop", "transmitted dropped bytes"),
                ("transmit_errs", "transmitted errors"),
                ("transmit_packets", "transmitted packets"),
            ),
        ),
        _network,
    ),
    Section((Family("lxd_procs_total", GAUGE, "The number of running processes."),), _processes),
)
