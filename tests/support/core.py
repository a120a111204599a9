"""The gateway's handlers, joined to fakes the way `wiring` joins them to the real things."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.domain.fleet import FleetView
from services.gateway.domain.templates import Template
from services.gateway.handlers.coming import Coming
from services.gateway.handlers.creations import CreationsHandler
from services.gateway.handlers.fleet import FleetHandler
from services.gateway.handlers.history import History
from services.gateway.handlers.keeper import Keeper
from services.gateway.handlers.ledger import Ledger
from services.gateway.handlers.logs import LogsHandler
from services.gateway.handlers.operations import OperationsHandler, Submitting
from services.gateway.handlers.reservations import Reservations
from services.gateway.handlers.resolver import Resolver
from services.gateway.handlers.secrets import SecretDelivery
from services.gateway.handlers.snapshots import SnapshotsHandler
from services.gateway.handlers.tally import Tally
from services.gateway.ports import Caller, Change, target_of
from shared.contracts.operations import Arguments, Kind, Operation
from shared.contracts.worker_api import LxdWorker
from tests.support.clock import FakeClock
from tests.support.reports import a_heartbeat, an_instance, an_inventory
from tests.support.stores import MemoryHostStore, MemoryOperationStore
from tests.support.workers import FakeWorkers


@dataclass
class Core:
    """A gateway's handlers between fakes; host h1 has reported a running `web`."""

    time: FakeClock = field(default_factory=FakeClock)
    store: MemoryOperationStore = field(default_factory=MemoryOperationStore)
    host_store: MemoryHostStore = field(default_factory=MemoryHostStore)
    workers: FakeWorkers = field(default_factory=FakeWorkers)
    name: str = "g1"
    tallied: list[tuple[Operation, float]] = field(default_factory=list)
    catalogue: list[Template] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock, worker = self.time.clock, LxdWorker(self.workers)
        self.fleet = FleetView(clock, ready_after_s=0)
        self.ledger = Ledger(self.fleet, Tally(self._record, clock.monotonic))
        self.keeper = Keeper(self.fleet, self.host_store)
        self.history = History(self.fleet, self.ledger, self.store, worker, clock.wall)
        self.delivery = SecretDelivery(worker, clock)
        self.operations = OperationsHandler(
            self.fleet,
            self.ledger,
            self.store,
            worker,
            clock,
            Submitting(self.name, 30, 15),
            self.delivery,
        )
        self.coming = Coming()
        self.creations = CreationsHandler(
            self.fleet, self.operations, self.coming, self.catalogue, self._next_uuid
        )
        self.resolver = Resolver(
            self.fleet, self.ledger, self.store, worker, clock, self.name, self.delivery
        )
        self.reservations = Reservations(self.fleet, self.store, clock)
        self.snapshots = SnapshotsHandler(self.fleet, worker, self.store.notes)
        self.logs = LogsHandler(self.fleet, worker)
        self.events = FleetHandler(
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
        self.fleet.apply("h1", a_heartbeat())
        self.fleet.apply("h1", an_inventory(an_instance()))

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
