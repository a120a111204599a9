"""How much a host may commit to its instances, and how much of that it has committed.

LXD itself checks none of this: it accepts any limit. An instance without a limit counts as zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.lxd_worker.protocols import HostMachine
from shared.contracts.errors import InsufficientResources
from shared.contracts.hosts import Capacity
from shared.contracts.instance_config import NewInstance
from shared.contracts.instances import Instance
from shared.contracts.sizes import cpu_count

NOTHING = Capacity(cpu=0, memory=0, disk=0)


@dataclass(frozen=True, slots=True)
class Overcommit:
    """The factors by which a host may commit more than it has."""

    cpu: float = 4.0
    memory: float = 1.0
    disk: float = 1.0


def total_capacity(machine: HostMachine, disk: int, overcommit: Overcommit) -> Capacity:
    """Return how much may be committed in all; `disk` is the storage pool's size in bytes."""
    return Capacity(
        cpu=int(machine.cpu * overcommit.cpu),
        memory=int(machine.memory * overcommit.memory),
        disk=int(disk * overcommit.disk),
    )


def committed(instances: Iterable[Instance]) -> Capacity:
    """Return the sum of the instances' limits, and of the disks that are kept for a revert."""
    return total(
        Capacity(cpu=cpus(one.cpu_limit), memory=one.memory_limit or 0, disk=_disk(one))
        for one in instances
    )


def demand(new: NewInstance) -> Capacity:
    """Return how much a new instance takes."""
    return Capacity(cpu=new.cpu, memory=new.memory, disk=new.disk)


def total(capacities: Iterable[Capacity]) -> Capacity:
    """Return the sum of all."""
    each = list(capacities)
    return Capacity(
        cpu=sum(one.cpu for one in each),
        memory=sum(one.memory for one in each),
        disk=sum(one.disk for one in each),
    )


def require_capacity(host: str, capacity: Capacity, already: Capacity, more: Capacity) -> None:
    """Raise InsufficientResources if less is left of anything than is wanted of it."""
    for resource in ("cpu", "memory", "disk"):
        wanted = getattr(more, resource)
        free = getattr(capacity, resource) - getattr(already, resource)
        if wanted and wanted > free:
            raise InsufficientResources(host, resource, str(wanted), str(max(0, free)))


def cpus(limit: str) -> int:
    """Return how many CPUs `limits.cpu` commits; 0 if it is no limit."""
    return cpu_count(limit) or 0


def _disk(instance: Instance) -> int:
    trash = instance.trash.size if instance.trash else None
    return (instance.root_size or 0) + (trash or 0)
