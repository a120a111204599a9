"""How much of a host's capacity is committed to its instances.

LXD does not limit commitments. The host's worker has the last word, because it reads LXD's present
state; the gateway computes the same from the fleet view, to choose a host.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.contracts.hosts import Capacity
from shared.contracts.instance_config import NewInstance
from shared.contracts.instances import Instance
from shared.contracts.sizes import cpu_count


class Amount(NamedTuple):
    """CPUs, and bytes of memory and disk."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))

    def minus(self, other: Amount) -> Amount:
        """Return the difference; negative where `other` is larger."""
        return Amount(*(ours - theirs for ours, theirs in zip(self, other, strict=True)))


NOTHING = Amount()


def commitment_of(instance: Instance) -> Amount:
    """Return what an instance's limits commit; no limit commits nothing.

    A root disk kept for a revert counts too.
    """
    trash = instance.trash.size if instance.trash else None
    return Amount(
        cpu=cpu_count(instance.cpu_limit) or 0,
        memory=instance.memory_limit or 0,
        disk=(instance.root_size or 0) + (trash or 0),
    )


def commitment_for(new: NewInstance) -> Amount:
    """Return what a new instance commits."""
    return Amount(new.cpu, new.memory, new.disk)


def total_of(capacity: Capacity) -> Amount:
    """Return how much a host may commit in total."""
    return Amount(capacity.cpu, capacity.memory, capacity.disk)
