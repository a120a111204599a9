"""The kernel's counters of an instance, from whichever source."""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.samples import BlockDevice, Interface, MemoryParts


class InstanceEnded(Exception):
    """The instance has stopped running here; LXD may not have reported that yet."""


class InstanceRefused(Exception):
    """LXD answers, but nothing readable about this instance."""


class Space(Struct, frozen=True):
    """How much a storage pool or a file system holds, in bytes."""

    used: int
    total: int


class DiskTraffic(Struct, frozen=True):
    """Bytes from and to physical disks since the start; None: the sum is unknown."""

    read: int | None
    written: int | None


class Traffic(Struct, frozen=True):
    """Bytes since some interfaces were created, from the side that `received` them.

    `ends` are the interfaces that counted them, so that a re-created namesake is noticed.
    `interfaces` are the parts of the sums, or some of them if there are too many. None: unknown.
    """

    received: int | None
    sent: int | None
    ends: frozenset[str]
    interfaces: tuple[Interface, ...] = ()


class Details(Struct, frozen=True):
    """The parts of an instance's CPU time, memory and disk traffic; None: unknown."""

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    memory: MemoryParts | None = None
    block_devices: tuple[BlockDevice, ...] | None = None


NO_DETAILS = Details()


class Usage(Struct, frozen=True):
    """The counters in an instance's cgroups; None if this kernel does not have them."""

    cpu_ns: int | None
    memory: int | None
    processes: int | None
    disk: DiskTraffic | None
    details: Details = NO_DETAILS
