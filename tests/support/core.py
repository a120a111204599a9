"""The gateway's handlers, joined to fakes the way `wiring` joins them to the real things."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.fleet.view import FleetView
from services.gateway.hosts.events import HostEvents
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.metrics import OperationMetrics
from services.gateway.operations.reconciler import Reconciler
from services.gateway.operations.reservations import Reservations
from services.gateway.operations.secrets import SecretDelivery
from services.gateway.operations.service import OperationService, SubmitSettings
from services.gateway.operations.sync import OperationSync
from services.gateway.ports import Caller, Change, target_of
from services.gateway.vms.create import CreationService
from services.gateway.vms.logs import LogService
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.snapshot_list import SnapshotService
from services.gateway.vms.templates import Template
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind, Operation
from shared.contracts.worker_api import LxdWorker
from tests.support.clock import FakeClock
from tests.support.reports import a_heartbeat, an_instance, an_inventory
from tests.support.stores import MemoryHostStore, MemoryOperationStore
from tests.support.workers import FakeWorkers


@dataclass
class Core:
    """A gateway's handlers between fakes; host h1 has reported `first`, a running `web`."""

    time: FakeClock = field(default_factory=FakeClock)
    store: MemoryOperationStore = field(default_factory=MemoryOperationStore)
    host_store: MemoryHostStore = field(default_factory=MemoryHostStore)
    workers: FakeWorkers = field(default_factory=FakeWorkers)
    name: str = "g1"
    tallied: list[tuple[Operation, float]] = field(default_factory=list)
    catalogue: list[Template] = field(default_factory=list)
    first: tuple[Instance, ...] = (an_instance(),)
    ready_after_s: float = 0

    def __post_init__(self) -> None:
        clock, worker = self.time.clock, LxdWorker(self.workers)
        self.fleet = FleetView(clock, ready_after_s=self.ready_after_s)
        self.ledger = OperationCache(self.fleet, OperationMetrics(self._record, clock.monotonic))
        self.keeper = HostPersistence(self.fleet, self.host_store)
        self.history = OperationSync(self.fleet, self.ledger, self.store, worker, clock.wall)
        self.delivery = SecretDelivery(worker, clock)
        self.operations = OperationService(
            self.fleet,
            self.ledger,
            self.store,
            worker,
            clock,
            SubmitSettings(self.name, 30, 15),
            self.delivery,
        )
        self.coming = PendingCreations()
        self.creations = CreationService(
            self.fleet, self.operations, self.coming, self.catalogue, self._next_uuid
        )
        self.resolver = Reconciler(
            self.fleet, self.ledger, self.store, worker, clock, self.name, self.delivery
        )
        self.reservations = Reservations(self.fleet, self.store, clock)
        self.snapshots = SnapshotService(self.fleet, worker, self.store.notes)
        self.logs = LogService(self.fleet, worker)
        self.events = HostEvents(
            self.fleet,
            self.ledger,
            self.keeper,
            self.store,
            worker,
            self.history,
            clock,
            pause_s=0.01,
            database_retry_s=0.01,
        )
        if self.first:
            self.fleet.apply("h1", a_heartbeat())
            self.fleet.apply("h1", an_inventory(*self.first))

    def _record(self, operation: Operation, took_s: float) -> None:
        self.tallied.append((operation, took_s))

    def _next_uuid(self) -> str:
        return f"new-{len(self.workers.submissions) + len(self.coming.all()) + 1}"

    def restarted(self) -> Core:
        """Return another process of this gateway, with the same database and workers."""
        return Core(self.time, self.store, self.host_store, self.workers, "g2")

    def change(self, kind: Kind = Kind.STOP, **more: object) -> Change:
        """Return a request for `web`."""
        return Change(
            kind=kind,
            target=target_of(self.fleet.instance("web")),
            arguments=Arguments(),
            caller=Caller("admin", "127.0.0.1", correlation_id="c-1"),
            **more,  # type: ignore[arg-type]
        )
