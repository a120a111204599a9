"""The series of LXD's own `/1.0/metrics`, and how a sample holds the value of each.

Names, labels, types and help texts are those of LXD 5.0, so that dashboards made for it work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.contracts.samples import BlockDevice, InstanceSample, Interface, MemoryParts

COUNTER, GAUGE = "counter", "gauge"
NS_PER_S = 1_000_000_000
# At a NUL a scraper stops reading, and half a surrogate pair is no UTF-8: either would cost every
# series of the page.
_NO_LABEL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Values of one instance, each with the labels that only it has, as text that ends with a comma.
Values = Iterable[tuple[str, float | None]]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric; `typed` families carry the instance's type as a label."""

    name: str
    kind: str
    help: str
    values: Callable[[InstanceSample], Values]
    typed: bool = True


def escaped(text: str) -> str:
    """Return the text as it may stand in a label; what no scraper would read is replaced."""
    readable = text if text.isprintable() else _NO_LABEL.sub("\N{REPLACEMENT CHARACTER}", text)
    return readable.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _cpu(sample: InstanceSample) -> Values:
    # LXD tells CPUs apart on cgroup v1 only; on v2 its figures are sums with the label 0, too.
    if sample.cpu_user_s is None and sample.cpu_ns is not None:
        yield 'cpu="0",mode="total",', sample.cpu_ns / NS_PER_S
    yield 'cpu="0",mode="system",', sample.cpu_system_s
    yield 'cpu="0",mode="user",', sample.cpu_user_s


def _one(read: Callable[[InstanceSample], float | None]) -> Callable[[InstanceSample], Values]:
    return lambda sample: (("", read(sample)),)


def _root(read: Callable[[InstanceSample], float | None]) -> Callable[[InstanceSample], Values]:
    return lambda sample: (('device="",fstype="",mountpoint="/",', read(sample)),)


def _part(read: Callable[[MemoryParts], float | None]) -> Callable[[InstanceSample], Values]:
    return lambda sample: () if sample.memory is None else (("", read(sample.memory)),)


def _interfaces(read: Callable[[Interface], float | None]) -> Callable[[InstanceSample], Values]:
    return lambda sample: (
        (f'device="{escaped(each.device)}",', read(each)) for each in sample.interfaces or ()
    )


def _disks(read: Callable[[BlockDevice], float | None]) -> Callable[[InstanceSample], Values]:
    return lambda sample: (
        (f'device="{escaped(each.device)}",', read(each)) for each in sample.block_devices or ()
    )


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _difference(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else max(0, whole - part)


def _memory_free(sample: InstanceSample) -> float | None:
    return _difference(sample.memory_total, sample.memory_used)


def _memory_available(sample: InstanceSample) -> float | None:
    return _sum(_memory_free(sample), sample.memory.cached if sample.memory else None)


def _disk_free(sample: InstanceSample) -> float | None:
    return _difference(sample.disk_total, sample.disk_used)


def _memory(name: str, text: str, values: Callable[[InstanceSample], Values]) -> Family:
    return Family(f"lxd_memory_{name}_bytes", GAUGE, f"The amount of {text}.", values)


def _network(name: str, text: str, values: Callable[[InstanceSample], Values]) -> Family:
    said = f"The amount of {text} on a given interface."
    return Family(f"lxd_network_{name}_total", COUNTER, said, values)


def _disk(name: str, text: str, values: Callable[[InstanceSample], Values]) -> Family:
    return Family(f"lxd_disk_{name}_total", COUNTER, f"The total number of {text}.", values)


def _filesystem(name: str, text: str, read: Callable[[InstanceSample], float | None]) -> Family:
    return Family(f"lxd_filesystem_{name}_bytes", GAUGE, f"The {text}.", _root(read), typed=False)


FAMILIES: tuple[Family, ...] = (
    Family("lxd_cpu_seconds_total", COUNTER, "The total number of CPU time used in seconds.", _cpu),
    _disk("read_bytes", "bytes read", _disks(lambda disk: disk.read_bytes)),
    _disk("reads_completed", "completed reads", _disks(lambda disk: disk.reads)),
    _disk("written_bytes", "bytes written", _disks(lambda disk: disk.written_bytes)),
    _disk("writes_completed", "completed writes", _disks(lambda disk: disk.writes)),
    _filesystem("avail", "number of available space in bytes", _disk_free),
    _filesystem("free", "number of free space in bytes", _disk_free),
    _filesystem("size", "size of the filesystem in bytes", lambda sample: sample.disk_total),
    _memory(
        "Active_anon", "anonymous memory on active LRU list", _part(lambda part: part.active_anon)
    ),
    _memory(
        "Active_file", "file-backed memory on active LRU list", _part(lambda part: part.active_file)
    ),
    _memory(
        "Active",
        "memory on active LRU list",
        _part(lambda part: _sum(part.active_anon, part.active_file)),
    ),
    _memory("Cached", "cached memory", _part(lambda part: part.cached)),
    _memory(
        "Dirty", "memory waiting to get written back to the disk", _part(lambda part: part.dirty)
    ),
    _memory(
        "Inactive_anon",
        "anonymous memory on inactive LRU list",
        _part(lambda part: part.inactive_anon),
    ),
    _memory(
        "Inactive_file",
        "file-backed memory on inactive LRU list",
        _part(lambda part: part.inactive_file),
    ),
    _memory(
        "Inactive",
        "memory on inactive LRU list",
        _part(lambda part: _sum(part.inactive_anon, part.inactive_file)),
    ),
    _memory("Mapped", "mapped memory", _part(lambda part: part.mapped)),
    _memory("MemAvailable", "available memory", _one(_memory_available)),
    _memory("MemFree", "free memory", _one(_memory_free)),
    # LXD 5.0 says "used memory", which it is not; later releases corrected it to this.
    _memory(
        "MemTotal", "memory or configured memory limit", _one(lambda sample: sample.memory_total)
    ),
    _memory("RSS", "anonymous and swap cache memory", _part(lambda part: part.rss)),
    _memory("Shmem", "cached filesystem data that is swap-backed", _part(lambda part: part.shmem)),
    _memory("Swap", "used swap memory", _part(lambda part: part.swap)),
    _memory("Unevictable", "unevictable memory", _part(lambda part: part.unevictable)),
    _memory(
        "Writeback",
        "memory queued for syncing to disk",
        _part(lambda part: part.writeback),
    ),
    _network("receive_bytes", "received bytes", _interfaces(lambda nic: nic.rx_bytes)),
    _network("receive_drop", "received dropped bytes", _interfaces(lambda nic: nic.rx_dropped)),
    _network("receive_errs", "received errors", _interfaces(lambda nic: nic.rx_errors)),
    _network("receive_packets", "received packets", _interfaces(lambda nic: nic.rx_packets)),
    _network("transmit_bytes", "transmitted bytes", _interfaces(lambda nic: nic.tx_bytes)),
    _network("transmit_drop", "transmitted dropped bytes", _interfaces(lambda nic: nic.tx_dropped)),
    _network("transmit_errs", "transmitted errors", _interfaces(lambda nic: nic.tx_errors)),
    _network("transmit_packets", "transmitted packets", _interfaces(lambda nic: nic.tx_packets)),
    Family(
        "lxd_procs_total",
        GAUGE,
        "The number of running processes.",
        _one(lambda sample: sample.processes),
    ),
)
