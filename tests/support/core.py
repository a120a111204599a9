"""The gateway's handlers, joined to fakes the way `wiring` joins them to the real things."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.consoles import LogService
from services.gateway.fleet.view import FleetView
from services.gateway.hosts.event_handler import HostEventHandler
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.command import Caller, command_for
from services.gateway.operations.metrics import OperationMetrics
from services.gateway.operations.reconciler import Reconciler
from services.gateway.operations.secrets import SecretDelivery
from services.gateway.operations.service import OperationService, SubmitSettings
from services.gateway.operations.store import IdempotencyKey
from services.gateway.operations.sync import OperationSync, UuidReservations
from services.gateway.vms.create import CreationService
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.snapshots import SnapshotService
from services.gateway.vms.templates import Template
from services.gateway.wiring import Parts
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind, Operation
from shared.contracts.worker_api import WorkerClient
from tests.support.builders import a_description, a_heartbeat, an_instance, an_inventory
from tests.support.clock import FakeClock
from tests.support.stores import MemoryHostStore, MemoryOperationStore
from tests.support.workers import FakeWorkers

ADMIN = Caller("admin", "127.0.0.1", correlation_id="c-1")


@dataclass
class Core:
    """A gateway's handlers between fakes; host h1 has reported `first`, a running `web`."""

    time: FakeClock = field(default_factory=FakeClock)
    store: MemoryOperationStore = field(default_factory=MemoryOperationStore)
    host_store: MemoryHostStore = field(default_factory=MemoryHostStore)
    workers: FakeWorkers = field(default_factory=FakeWorkers)
    name: str = "g1"
    counted: list[tuple[Operation, float]] = field(default_factory=list)
    catalogue: list[Template] = field(default_factory=list)
    first: tuple[Instance, ...] = (an_instance(),)
    ready_after_s: float = 0

    def __post_init__(self) -> None:
        clock, worker = self.time.clock, WorkerClient(self.workers)
        self.fleet = FleetView(clock, ready_after_s=self.ready_after_s)
        self.cache = OperationCache(self.fleet, OperationMetrics(self._record, clock.monotonic))
        self.persistence = HostPersistence(self.fleet, self.host_store)
        self.sync = OperationSync(self.fleet, self.cache, self.store, worker, clock.wall)
        self.delivery = SecretDelivery(worker, clock)
        self.operations = OperationService(
            self.fleet,
            self.cache,
            self.store,
            worker,
            clock,
            SubmitSettings(self.name, 30, 15),
            self.delivery,
        )
        self.pending = PendingCreations()
        self.creations = CreationService(
            self.fleet, self.operations, self.pending, self.catalogue, self._next_uuid
        )
        self.reconciler = Reconciler(
            self.fleet, self.cache, self.store, worker, clock, self.name, self.delivery
        )
        self.reservations = UuidReservations(self.fleet, self.store, clock.wall)
        self.snapshots = SnapshotService(self.fleet, worker, self.store.notes)
        self.logs = LogService(self.fleet, worker)
        self.events = HostEventHandler(
            self.fleet,
            self.cache,
            self.persistence,
            self.store,
            worker,
            self.sync,
            clock,
            pause_s=0.01,
            database_retry_s=0.01,
        )
        if self.first:
            self.fleet.apply("h1", a_heartbeat())
            self.fleet.apply("h1", an_inventory(*self.first))

    def _record(self, operation: Operation, took_s: float) -> None:
        self.counted.append((operation, took_s))

    def _next_uuid(self) -> str:
        return f"new-{len(self.workers.submissions) + len(self.pending.all()) + 1}"

    def add_host(self, host: str, *, memory: int = 1000) -> None:
        """Hear of a host, of one that is new that it has no instances, and what it has for some."""
        if host not in self.fleet.host_ids():
            self.fleet.apply(host, a_heartbeat())
            self.fleet.apply(host, an_inventory())
        room = Capacity(cpu=100, memory=memory, disk=100_000)
        self.fleet.apply(host, a_description(capacity=room, networks=[]))

    def restarted(self) -> Core:
        """Return another process of this gateway, with the same database and workers."""
        return Core(self.time, self.store, self.host_store, self.workers, "g2")

    async def submit(self, kind: Kind = Kind.STOP, key: IdempotencyKey | None = None) -> Operation:
        """Submit a command for `web`."""
        return await submit(self, kind, key=key)


async def submit(
    gateway: Core | Parts,
    kind: Kind = Kind.STOP,
    name: str = "web",
    arguments: Arguments | None = None,
    key: IdempotencyKey | None = None,
) -> Operation:
    """Submit the admin's command for an instance that the gateway shows."""
    known = gateway.fleet.instance(name)
    command = command_for(known, kind, arguments or Arguments(), ADMIN)
    return await gateway.operations.submit(command, ADMIN, key)
