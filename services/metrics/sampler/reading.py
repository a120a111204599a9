"""A reading of a host and its instances at one time, in the same form from every source.

None means unknown, and so does a zero that cannot be right.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from services.metrics.sampler.kernel_counters import (
    NO_DETAILS,
    Details,
    DiskTraffic,
    Space,
    Traffic,
    Usage,
)
from services.metrics.sampler.limits import allowed_cpus, allowed_memory
from services.metrics.sampler.lxd_instances import InstanceWithState, Nic
from services.metrics.sampler.network import traffic_of
from services.metrics.sampler.sanitize import (
    MOST_ADDRESS_CHARACTERS,
    MOST_ADDRESSES,
    MOST_ADDRESSES_BYTES,
    MOST_DEVICE_CHARACTERS,
    MOST_UUID_CHARACTERS,
    MOST_WORD_CHARACTERS,
    TOO_MANY,
    UNREADABLE,
    Dropped,
    count,
    first_of,
    fits,
    word,
)
from shared.contracts.bounds import MOST, Name, Word
from shared.contracts.hosts import VIRTUAL_MACHINE
from shared.contracts.samples import Address
from shared.contracts.sizes import size_in_bytes
from shared.lxd.models import InstanceState, InterfaceState, NetworkAddress

LOOPBACK = "loopback"
GLOBAL = "global"

# The source of an instance's reading. A sample with both is mixed.
CGROUP, LXD, MIXED = "cgroup", "lxd", "mixed"

# Project and name: unique on a host at one time.
Identity = tuple[str, str]
# With uuid and process id: unique for each run of an instance or a namesake.
Run = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class HostReading:
    """A reading of the host itself. CPU times are seconds of all cores since boot."""

    cpus: int
    cpu_busy_s: float
    cpu_total_s: float
    memory_total: int
    memory_used: int
    root_space: Space
    load_1: float | None


@dataclass(frozen=True, slots=True)
class Pools:
    """The space of each storage pool; `default` is the one for new instances, empty: none."""

    spaces: Mapping[str, Space]
    default: str = ""


class InstanceReading(Struct, frozen=True, kw_only=True):
    """A reading of a running instance at `at_s`, which is monotonic.

    `cpu_ns` is CPU time; a virtual machine's counts from its guest's boot, after the start of
    process `pid`. `cpus` is how many CPUs it may keep busy.
    """

    at_s: float
    source: str
    kind: str
    project: str
    name: str
    uuid: str
    pid: int
    nics: tuple[Nic, ...]
    cpu_ns: int | None
    cpus: float | None
    memory_used: int | None
    memory_total: int
    disk_used: int | None
    disk_total: int | None
    disk: DiskTraffic | None
    network: Traffic | None
    processes: int | None
    addresses: tuple[Address, ...]
    details: Details = NO_DETAILS

    @property
    def identity(self) -> Identity:
        """Project and name, which are unique on a host at one time."""
        return self.project, self.name

    @property
    def run(self) -> Run:
        """What is unique for each run of an instance or a namesake."""
        return self.project, self.name, self.uuid, self.pid

    @property
    def counted_since_start(self) -> bool:
        """Whether `cpu_ns` counts from the start of process `pid`."""
        return self.kind != VIRTUAL_MACHINE


@dataclass(frozen=True, slots=True)
class Reading:
    """A complete reading at `at_s`, which is monotonic, without stopped instances.

    `network` is the traffic of the host's physical network interfaces.
    """

    at_s: float
    host: HostReading
    pools: Pools
    network: Traffic
    instances: Mapping[Identity, InstanceReading]


def reading_from_lxd(
    at_s: float,
    instance: InstanceWithState,
    host: HostReading,
    pools: Pools,
    dropped: Dropped,
) -> InstanceReading | None:
    """Return LXD's reading of an instance; None if it does not run or its name is invalid.

    Root inside, or a virtual machine's agent, may have chosen the values in LXD's state.
    """
    state, config = instance.state, instance.expanded_config
    if instance.unreadable > 0:
        dropped[UNREADABLE] += instance.unreadable
    if not (fits(instance.name, Name) and fits(instance.project, Word)):
        dropped[UNREADABLE] += 1
        return None
    if state is None or not 0 < state.pid <= MOST:
        return None
    disk_used, disk_total = _disk(instance, state, pools, dropped)
    nics = tuple([_sanitize_nic(nic, dropped) for nic in instance.nics])
    own = _own(nics, state.network or {})
    return InstanceReading(
        at_s=at_s,
        source=LXD,
        kind=instance.type,
        project=instance.project,
        name=instance.name,
        uuid=word(instance.uuid, MOST_UUID_CHARACTERS, dropped) or "",
        pid=state.pid,
        nics=nics,
        cpu_ns=_if_measured(state.cpu.usage, dropped),
        cpus=allowed_cpus(instance.type, config, host.cpus),
        memory_used=_if_measured(state.memory.usage, dropped),
        memory_total=allowed_memory(instance.type, config, host.memory_total),
        disk_used=disk_used,
        disk_total=disk_total,
        disk=None,
        network=_traffic(state, own, dropped),
        processes=_if_measured(state.processes, dropped),
        addresses=_addresses(state, own, dropped),
    )


def with_usage(
    at_s: float, reading: InstanceReading, usage: Usage, network: Traffic | None
) -> InstanceReading:
    """Return the kernel's current counters together with the values that only LXD has."""
    return replace(
        reading,
        at_s=at_s,
        source=CGROUP,
        cpu_ns=usage.cpu_ns,
        memory_used=usage.memory,
        disk=usage.disk,
        network=network,
        processes=reading.processes if usage.processes is None else usage.processes,
        details=usage.details,
    )


def _if_measured(number: int, dropped: Dropped) -> int | None:
    # What runs uses CPU, memory and a process; LXD's 0 and -1 mean no answer.
    return None if number in (0, -1) else count(number, dropped)


def _sanitize_nic(nic: Nic, dropped: Dropped) -> Nic:
    device = word(nic.device, MOST_DEVICE_CHARACTERS, dropped) or ""
    return Nic(device, nic.host_end, nic.hwaddr)


def _own(nics: Sequence[Nic], network: Mapping[str, InterfaceState]) -> Mapping[str, int]:
    """Return the interfaces that are configured NICs, each with the position of its NIC.

    A guest may have renamed them, or given their MAC address to a bridge on top of them.
    """
    positions: dict[str, int] = {}
    for position, nic in enumerate(nics):
        for mark in filter(None, (nic.device, nic.hwaddr.lower(), nic.host_end)):
            positions.setdefault(mark, position)
    own = {}
    for name, interface in network.items():
        marks = (name, interface.hwaddr.lower(), interface.host_name)
        if matches := [positions[mark] for mark in marks if mark in positions]:
            own[name] = min(matches)
    return own


def _disk(
    instance: InstanceWithState, state: InstanceState, pools: Pools, dropped: Dropped
) -> tuple[int | None, int | None]:
    name = instance.root_disk
    device = instance.expanded_devices.get(name, {})
    disk = (state.disk or {}).get(name)
    pool = pools.spaces.get(device.get("pool", ""))
    quota = (disk.total if disk else 0) or size_in_bytes(device.get("size", ""))
    return (
        None if disk is None or disk.usage == -1 else count(disk.usage, dropped),
        count(quota, dropped) or (pool.total if pool else None),
    )


def _traffic(state: InstanceState, own: Collection[str], dropped: Dropped) -> Traffic | None:
    if state.network is None:
        return None
    counters = {
        name: each.counters for name, each in state.network.items() if each.type != LOOPBACK
    }
    return traffic_of(counters, dropped, own)


def _addresses(
    state: InstanceState, own: Mapping[str, int], dropped: Dropped
) -> tuple[Address, ...]:
    """Return the addresses, those of configured NICs, and global ones, first.

    Of thousands, only as many as fit a sample are examined.
    """
    candidates = [
        (name, each)
        for name, interface in (state.network or {}).items()
        for each in interface.addresses or ()
    ]
    candidates.sort(key=lambda each: (own.get(each[0], MOST), each[1].scope != GLOBAL))
    if len(candidates) > MOST_ADDRESSES:
        dropped[TOO_MANY] += len(candidates) - MOST_ADDRESSES
    addresses = [
        _address(name, each, dropped, of_nic=name in own)
        for name, each in candidates[:MOST_ADDRESSES]
    ]
    return first_of(
        [each for each in addresses if each is not None],
        MOST_ADDRESSES,
        MOST_ADDRESSES_BYTES,
        dropped,
        lambda each: (not each.of_nic, each.scope != GLOBAL),
    )


def _address(
    name: str, candidate: NetworkAddress, dropped: Dropped, *, of_nic: bool
) -> Address | None:
    device = word(name, MOST_DEVICE_CHARACTERS, dropped)
    family = word(candidate.family, MOST_WORD_CHARACTERS, dropped)
    address = word(candidate.address, MOST_ADDRESS_CHARACTERS, dropped)
    scope = word(candidate.scope, MOST_WORD_CHARACTERS, dropped)
    if device is None or family is None or address is None or scope is None:
        return None
    return Address(device=device, family=family, address=address, scope=scope, of_nic=of_nic)
