"""What the kernel counts of an instance, whoever reads it."""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.instances import BlockDevice, Interface, MemoryParts


class InstanceEnded(Exception):
    """The instance ran here and does not any more; LXD may not have said so yet."""


class InstanceRefused(Exception):
    """LXD is there, but tells nothing that can be read of this instance."""


class Space(Struct, frozen=True):
    """How much a storage pool or a file system holds, in bytes."""

    used: int
    total: int


class DiskTraffic(Struct, frozen=True):
    """Bytes from and to real disks since the start; None: the sum is not known."""

    read: int | None
    written: int | None


class Traffic(Struct, frozen=True):
    """Bytes since some interfaces were made, seen from the side that `received` them.

    `ends` are where they were counted: a namesake that is made anew has another. `interfaces` are
    the parts of the sums; where they are too many, some of them. None: the sum is not known.
    """

    received: int | None
    sent: int | None
    ends: frozenset[str]
    interfaces: tuple[Interface, ...] = ()


class Details(Struct, frozen=True):
    """What the CPU time, memory and disk traffic of an instance consist of; None: nobody tells."""

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    memory: MemoryParts | None = None
    block_devices: tuple[BlockDevice, ...] | None = None


NO_DETAILS = Details()


class Usage(Struct, frozen=True):
    """What the cgroups of one instance count; None where this kernel does not count it."""

    cpu_ns: int | None
    memory: int | None
    processes: int | None
    disk: DiskTraffic | None
    details: Details = NO_DETAILS
