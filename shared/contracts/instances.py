"""An instance and a host, as their LXD describes them and as they are measured.

These are parts of the messages in `events` and `operations`. Sizes are bytes, shares are percent
from 0 to 100, times are RFC 3339 with `Z`. `None` means: not known, never zero.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import astuple

from shared.contracts.bounds import (
    MOST_DEVICES,
    MOST_PROFILES,
    MOST_PROXY_OPTIONS,
    MOST_USER_KEYS,
    Cores,
    Count,
    Load,
    Moment,
    Name,
    Percent,
    Rate,
    Seconds,
    Text,
    Word,
)
from shared.contracts.changes import NO_LIMITS, Labels, Limits

DEFAULT_PROJECT = "default"


# LXD's notation of yes.
_YES = ("true", "1", "yes", "on")


class Proxy(Struct, frozen=True, kw_only=True):
    """A proxy device; `listen` (`tcp:0.0.0.0:20001`) and `connect` in LXD's own notation.

    `options` are its other settings, such as `bind`, `nat` and `proxy_protocol`.
    """

    device: Word
    listen: Word
    connect: Word
    options: Annotated[dict[Word, Word], Meta(max_length=MOST_PROXY_OPTIONS)] = {}

    @property
    def on_host(self) -> bool:
        """Whether it listens on the host; else inside the instance."""
        return self.options.get("bind", "host") == "host"

    @property
    def proxy_protocol(self) -> bool:
        """Whether it speaks the PROXY protocol, so that only who knows that understands it."""
        return self.options.get("proxy_protocol", "").lower() in _YES


class Trash(Struct, frozen=True, kw_only=True):
    """The root that an instance had before its last rebuild or revert.

    LXD has it as the instance `name`, which is in no list, until `until`. `size` is its limit in
    bytes, None where it has none.
    """

    name: Name
    until: Moment
    size: Count | None = None


class Instance(Struct, frozen=True, kw_only=True):
    """What LXD's configuration says of one instance, profiles applied.

    `uuid` is `volatile.uuid`. `revision` grows whenever the worker reads the instance anew and
    orders two readings of one worker epoch. `user` holds only the `user.*` keys named in
    `USER_KEYS`, without the prefix. `cpu_limit` is LXD's text (`2`, `0-3`, empty: all),
    `memory_limit` and `root_size` are None where LXD has no limit. `display_name` and `labels` are
    ours, kept in `user.lxdfleet.*`; `operation_id` is the operation that created it through us.
    `os` is the image's distribution and release (`ubuntu20.04`), empty where the image does not
    say. `networks` are the networks and bridges of its NICs, `location` the cluster member it is
    on. `ephemeral`: LXD deletes it when it stops. `limits` are of what it may move in a second; of
    several NICs the loosest counts. `trash` is what a revert brings back, None where there is
    nothing.
    """

    name: Name
    uuid: Word
    type: Word
    status: Word
    architecture: Word
    created_at: Word
    project: Word = DEFAULT_PROJECT
    description: Text = ""
    user: Annotated[dict[Word, Text], Meta(max_length=MOST_USER_KEYS)] = {}
    proxies: Annotated[tuple[Proxy, ...], Meta(max_length=MOST_DEVICES)] = ()
    cpu_limit: Text = ""
    memory_limit: Count | None = None
    root_size: Count | None = None
    profiles: Annotated[tuple[Word, ...], Meta(max_length=MOST_PROFILES)] = ()
    revision: Count = 0
    display_name: Word = ""
    labels: Labels = {}
    operation_id: Word = ""
    auto_start: bool = False
    os: Word = ""
    networks: Annotated[tuple[Word, ...], Meta(max_length=MOST_DEVICES)] = ()
    location: Word = ""
    ephemeral: bool = False
    limits: Limits = NO_LIMITS
    trash: Trash | None = None


# The `user.*` keys that leave the host; others (cloud-init data among them) may hold secrets.
USER_KEYS = ("description", "ssh_port", "nat_ports", "root_password")


def etag(instance: Instance) -> str:
    """Return what changes exactly when a caller could have changed the instance's configuration.

    Gateway and worker both compute it, so that an update can be made conditional on what its caller
    saw.
    """
    settings = (
        instance.uuid,
        instance.name,
        instance.display_name,
        instance.description,
        instance.cpu_limit,
        instance.memory_limit,
        instance.root_size,
        instance.auto_start,
        sorted(instance.labels.items()),
        [
            (proxy.device, proxy.listen, proxy.connect, *sorted(proxy.options.items()))
            for proxy in instance.proxies
        ],
        # A worker of an earlier release tells no limits, and does not count them.
        *([astuple(instance.limits)] if instance.limits != NO_LIMITS else []),
    )
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:32]


class Address(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One address of an instance; `family` is `inet` or `inet6`, `scope` LXD's `global`, `link`,
    `local`.

    `of_nic`: its interface is a NIC that the instance is configured to have, not one that somebody
    inside made, such as docker0. Samplers of earlier releases did not tell them apart.
    """

    device: Word
    family: Word
    address: Word
    scope: Word
    of_nic: bool = True


class MemoryParts(Struct, frozen=True, kw_only=True):
    """What an instance's memory holds, in bytes, by the kernel's names for the parts."""

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


class Interface(Struct, frozen=True, kw_only=True):
    """What went through one network interface, seen from inside the instance, since it is there."""

    device: Word
    rx_bytes: Count
    tx_bytes: Count
    rx_packets: Count | None = None
    tx_packets: Count | None = None
    rx_errors: Count | None = None
    tx_errors: Count | None = None
    rx_dropped: Count | None = None
    tx_dropped: Count | None = None


class BlockDevice(Struct, frozen=True, kw_only=True):
    """What an instance read from and wrote to a disk since its start.

    The disk is one of the host's, of a virtual machine one of its own.
    """

    device: Word
    read_bytes: Count
    written_bytes: Count
    reads: Count | None = None
    writes: Count | None = None


class InstanceSample(Struct, frozen=True, kw_only=True):
    """One measurement of one instance; a stopped instance has none.

    `cpu_percent` is the share of the CPUs the instance may use, 0-100, over the time since the
    sample before; `cpu_core_percent` is the same use in percent of one core, so above 100 on
    several; `cpu_ns` is the CPU time since the start, and `cpu_user_s` and `cpu_system_s` are what
    it was used for. `memory_total` and `disk_total` are the limit, or the host's and the pool's
    where there is none. `network_*` are cumulative bytes seen from inside the instance, loopback
    left out, as in `interfaces`; `disk_read` and `disk_write` are cumulative bytes that went from
    and to real disks, the sums of `block_devices`. Read from LXD there are no such sums: it lists
    a disk and what stands on it alike. Every `*_rate` is in bytes per second. The parts of memory
    and an interface's errors and losses may be up to a minute old. Addresses are in the order
    of the NICs that have them, those of other interfaces last. Of addresses, interfaces and block
    devices without end the lists hold the first; the sums are of all.
    """

    name: Name
    uuid: Word
    project: Word = DEFAULT_PROJECT
    cpu_percent: Percent | None = None
    memory_used: Count | None = None
    memory_total: Count | None = None
    disk_used: Count | None = None
    disk_total: Count | None = None
    network_rx: Count | None = None
    network_tx: Count | None = None
    processes: Count | None = None
    addresses: Annotated[tuple[Address, ...], Meta(max_length=MOST_DEVICES)] = ()
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


class HostSample(Struct, frozen=True, kw_only=True):
    """One measurement of a host.

    Disk is LXD's storage pool, else the root file system; used = total - available. `network_*` are
    the bytes of its network hardware, cumulative and per second.
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
