"""What of the host is given out: to LXD's instances, and by operations under way."""

from __future__ import annotations

from dataclasses import dataclass

from services.lxd_worker.creation.capacity import added, promised, share
from services.lxd_worker.creation.port_pool import Ports, held
from services.lxd_worker.instances.proxies import proxies_in
from services.lxd_worker.journal.entry import JournalEntry
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance


@dataclass(frozen=True, slots=True)
class Commitments:
    """Who has something, or was promised it by an operation under way.

    A creation under way whose instance LXD lists already counts once.
    """

    instances: tuple[Instance, ...]
    under_way: tuple[JournalEntry, ...]

    def has(self, project: str, name: str) -> bool:
        """Whether an instance of this name is there, or will be."""
        there = {(one.project, one.name) for one in self.instances}
        coming = {(one.operation.project, one.operation.instance) for one in self.under_way}
        return (project, name) in there | coming

    def ports(self) -> Ports:
        """Return the ports that lead to instances."""
        proxies = (proxy for one in self.instances for proxy in one.proxies)
        planned = (
            proxy for one in self.under_way if one.plan for proxy in proxies_in(one.plan.devices)
        )
        return held(proxies) | held(planned)

    def capacity(self) -> Capacity:
        """Return what is promised in all."""
        listed = {one.uuid for one in self.instances}
        coming = (
            share(one.operation.arguments.create)
            for one in self.under_way
            if one.operation.arguments.create and one.operation.uuid not in listed
        )
        swaps = (one.plan.swap.disk for one in self.under_way if one.plan and one.plan.swap)
        beside = Capacity(cpu=0, memory=0, disk=sum(swaps))
        return added([promised(self.instances), *coming, beside])
