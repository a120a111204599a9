"""How much of a host is promised to its instances, and how much more it may promise.

LXD checks nothing of the kind. A host's worker has the last word, because it sees what LXD holds at
that moment; the gateway computes the same of what it knows, to choose a host.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.contracts.changes import NewInstance
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance
from shared.contracts.sizes import cpu_count


class Amount(NamedTuple):
    """CPUs, and bytes of memory and disk."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0

    def plus(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Amount) -> Amount:
        """Return what is left; below zero where more is taken than there is."""
        return Amount(*(mine - its for mine, its in zip(self, other, strict=True)))


NOTHING = Amount()


def commitment_of(instance: Instance) -> Amount:
    """Return an instance's limits; what has none is promised nothing.

    A root that is kept for a revert counts as well.
    """
    kept = instance.trash.size if instance.trash else None
    return Amount(
        cpu=cpu_count(instance.cpu_limit) or 0,
        memory=instance.memory_limit or 0,
        disk=(instance.root_size or 0) + (kept or 0),
    )


def commitment_for(new: NewInstance) -> Amount:
    """Return what a new instance will be promised."""
    return Amount(new.cpu, new.memory, new.disk)


def total_of(capacity: Capacity) -> Amount:
    """Return how much a host may promise in all."""
    return Amount(capacity.cpu, capacity.memory, capacity.disk)
