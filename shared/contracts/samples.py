"""Samples: what the sampler measures of a host and its instances.

An instance's sample travels as a JSON array, whose places are the fields in order: a new field goes
to the end. Such a sample takes half the room of an object, and a reader can keep it as it came and
decode it only when it is asked for. Sizes are bytes, shares are percent from 0 to 100. `None` means
unknown, never zero. They are in no reference cycle, so the garbage collector need not visit the
many of a large fleet (`gc=False`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.bounds import (
    MOST_DEVICES,
    Cores,
    Count,
    Load,
    Name,
    Percent,
    Rate,
    Seconds,
    Word,
)
from shared.contracts.instances import DEFAULT_PROJECT


class Address(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One address of an instance; `family` is `inet` or `inet6`, `scope` LXD's `global`, `link`,
    `local`.

    `of_nic`: its interface is a NIC in the instance's configuration, not one that was made inside,
    such as docker0. Samplers of earlier releases do not distinguish them.
    """

    device: Word
    family: Word
    address: Word
    scope: Word
    of_nic: bool = True


class MemoryParts(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The parts of an instance's memory in bytes, under the kernel's names."""

    cached: Count | None = None
    rss: Count | None = None
    shmem: Count | None = None
    mapped: Count | None = None
    dirty: Count | None = None
    writeback: Count | None = None
    swap: Count | None = None
    unevictable: Count | None = None
    active_anon: Count | None = None
    active_file: Count | None = None
    inactive_anon: Count | None = None
    inactive_file: Count | None = None


class Interface(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Traffic of a network interface since its creation, as counted inside the instance."""

    device: Word
    rx_bytes: Count
    tx_bytes: Count
    rx_packets: Count | None = None
    tx_packets: Count | None = None
    rx_errors: Count | None = None
    tx_errors: Count | None = None
    rx_dropped: Count | None = None
    tx_dropped: Count | None = None


class BlockDevice(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Reads and writes of a disk since the instance's start.

    The disk is one of the host's; for a virtual machine, one of its own.
    """

    device: Word
    read_bytes: Count
    written_bytes: Count
    reads: Count | None = None
    writes: Count | None = None


class InstanceSample(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One measurement of one instance; a stopped instance has none.

    `cpu_percent` is the share of the CPUs that the instance may use, 0-100, since the previous
    sample; `cpu_core_percent` is the same in percent of one core, so it can exceed 100; `cpu_ns` is
    the CPU time since the start, divided into `cpu_user_s` and `cpu_system_s`. `memory_total` and
    `disk_total` are the limit, else the size of the host's memory and of the pool. `network_*` are
    cumulative bytes as counted inside the instance, without loopback, as in `interfaces`;
    `disk_read` and `disk_write` are cumulative bytes of physical disks, the sums of
    `block_devices`. Samples from LXD lack these sums, as LXD lists disks and the devices on top of
    them alike. Every `*_rate` is in bytes per second. The parts of memory and an interface's errors
    and drops may be a minute old. Addresses are in the order of their NICs, those of other
    interfaces last. Long lists of addresses, interfaces and block devices are cut; the sums include
    all.
    """

    name: Name
    uuid: Word
    project: Word = DEFAULT_PROJECT
    addresses: Annotated[tuple[Address, ...], Meta(max_length=MOST_DEVICES)] = ()
    cpu_percent: Percent | None = None
    memory_used: Count | None = None
    memory_total: Count | None = None
    disk_used: Count | None = None
    disk_total: Count | None = None
    network_rx: Count | None = None
    network_tx: Count | None = None
    processes: Count | None = None
    cpu_core_percent: Rate | None = None
    cpu_ns: Count | None = None
    disk_read: Count | None = None
    disk_write: Count | None = None
    disk_read_rate: Rate | None = None
    disk_write_rate: Rate | None = None
    network_rx_rate: Rate | None = None
    network_tx_rate: Rate | None = None
    cpu_user_s: Seconds | None = None
    cpu_system_s: Seconds | None = None
    memory: MemoryParts | None = None
    interfaces: Annotated[tuple[Interface, ...], Meta(max_length=MOST_DEVICES)] | None = None
    block_devices: Annotated[tuple[BlockDevice, ...], Meta(max_length=MOST_DEVICES)] | None = None


class HostSample(Struct, frozen=True, kw_only=True, gc=False):
    """One measurement of a host.

    Disk is LXD's storage pool, else the root file system; used = total - available. `network_*` are
    bytes of the physical network interfaces, cumulative and per second.
    """

    cpu_cores: Cores
    cpu_percent: Percent
    memory_total: Count
    memory_used: Count
    disk_total: Count
    disk_used: Count
    load_1: Load | None = None
    network_rx: Count | None = None
    network_tx: Count | None = None
    network_rx_rate: Rate | None = None
    network_tx_rate: Rate | None = None
