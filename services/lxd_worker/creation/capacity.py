"""How much a host may promise to its instances, and how much it has promised already.

LXD itself checks nothing of this: it takes any limit. An instance without a limit counts for
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.contracts.changes import NewInstance
from shared.contracts.errors import InsufficientResources
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance
from shared.contracts.sizes import cpu_count


@dataclass(frozen=True, slots=True)
class HostMachine:
    """What the host's hardware has; `memory` in bytes."""

    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class Overcommit:
    """How many times over what a host has may be promised."""

    cpu: float = 4.0
    memory: float = 1.0
    disk: float = 1.0


def offered(machine: HostMachine, disk: int, overcommit: Overcommit) -> Capacity:
    """Return what may be promised in all; `disk` is the size of the storage pool in bytes."""
    return Capacity(
        cpu=int(machine.cpu * overcommit.cpu),
        memory=int(machine.memory * overcommit.memory),
        disk=int(disk * overcommit.disk),
    )


def promised(instances: Iterable[Instance]) -> Capacity:
    """Return the sum of the instances' limits, and of the disks that are kept for a revert."""
    return added(
        Capacity(cpu=cpus(one.cpu_limit), memory=one.memory_limit or 0, disk=_disk(one))
        for one in instances
    )


def _disk(instance: Instance) -> int:
    kept = instance.trash.size if instance.trash else None
    return (instance.root_size or 0) + (kept or 0)


def share(wanted: NewInstance) -> Capacity:
    """Return what an instance is promised that is to be created."""
    return Capacity(cpu=wanted.cpu, memory=wanted.memory, disk=wanted.disk)


def added(promises: Iterable[Capacity]) -> Capacity:
    """Return the sum of promises."""
    each = list(promises)
    return Capacity(
        cpu=sum(one.cpu for one in each),
        memory=sum(one.memory for one in each),
        disk=sum(one.disk for one in each),
    )


def refuse_beyond(host: str, capacity: Capacity, already: Capacity, wanted: Capacity) -> None:
    """Raise InsufficientResources when there is not enough left of anything that is wanted."""
    for resource in ("cpu", "memory", "disk"):
        wants = getattr(wanted, resource)
        free = getattr(capacity, resource) - getattr(already, resource)
        if wants and wants > free:
            raise InsufficientResources(host, resource, str(wants), str(max(0, free)))


def cpus(limit: str) -> int:
    """Return how many CPUs `limits.cpu` promises; 0 where it is no limit."""
    return cpu_count(limit) or 0
