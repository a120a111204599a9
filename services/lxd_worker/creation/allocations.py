"""What the host has given out: to the instances that LXD lists, and to operations under way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import Lock

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.creation.capacity import committed, demand, total
from services.lxd_worker.creation.port_pool import HostPorts, ports_of
from services.lxd_worker.instances.devices import proxies_in
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.protocols import CachedInstances, Lxd
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance


@dataclass(frozen=True, slots=True)
class Commitments:
    """What instances hold, and what operations under way were promised.

    A creation under way whose instance LXD lists already counts once.
    """

    instances: tuple[Instance, ...]
    under_way: tuple[JournalEntry, ...]

    def has(self, project: str, name: str) -> bool:
        """Whether an instance of this name exists, or will."""
        existing = {(one.project, one.name) for one in self.instances}
        coming = {(one.operation.project, one.operation.instance) for one in self.under_way}
        return (project, name) in existing | coming

    def ports(self) -> HostPorts:
        """Return the ports that are forwarded to instances."""
        proxies = (proxy for one in self.instances for proxy in one.proxies)
        planned = (
            proxy for one in self.under_way if one.plan for proxy in proxies_in(one.plan.devices)
        )
        return ports_of(proxies) | ports_of(planned)

    def capacity(self) -> Capacity:
        """Return how much is committed in all."""
        listed = {one.uuid for one in self.instances}
        coming = (
            demand(one.operation.arguments.create)
            for one in self.under_way
            if one.operation.arguments.create and one.operation.uuid not in listed
        )
        swaps = (one.plan.swap.disk for one in self.under_way if one.plan and one.plan.swap)
        second_roots = Capacity(cpu=0, memory=0, disk=sum(swaps))
        return total([committed(self.instances), *coming, second_roots])


@dataclass(slots=True)
class Allocations:
    """The commitments as they are now.

    Whoever gives something out holds `lock` until that is in the journal. Reading them takes LXD a
    while, so one reading serves all commands that arrived before it began.
    """

    journal: Journal
    lxd: Lxd
    clock: WorkerClock
    cached: CachedInstances
    lock: Lock = field(default_factory=Lock)
    _commitments: Commitments | None = None
    _began: float = 0.0

    def commitments(self, arrived: float) -> Commitments:
        """Return them as read after `arrived`, when the command came, by the monotonic clock."""
        if self._commitments is None or self._began <= arrived:
            began = self.clock.monotonic()
            # In this order: an operation that ends meanwhile is in LXD's list.
            entries = [entry for entry in self.journal.unfinished() if entry.plan]
            self._commitments = Commitments(tuple(self._instances()), tuple(entries))
            self._began = began
        return self._commitments

    def add(self, entry: JournalEntry) -> None:
        """Add what an operation was given since the reading."""
        if self._commitments and entry.plan:
            under_way = (*self._commitments.under_way, entry)
            self._commitments = replace(self._commitments, under_way=under_way)

    def _instances(self) -> Iterable[Instance]:
        cached = self.cached()
        return self.lxd.instances() if cached is None else cached.values()
