"""Builds the gateway's parts; the only module that knows both the broker and the database."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from services.gateway.bus.calls import Calls
from services.gateway.bus.central_calls import CentralCalls
from services.gateway.bus.connection import Alarm, SharedConnection
from services.gateway.bus.connections import BusConnections
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.event_consumers import EventConsumers
from services.gateway.bus.streams import BusStreams
from services.gateway.clock import Clock
from services.gateway.consoles import ConsoleService, LogService
from services.gateway.fleet.view import FleetView
from services.gateway.health import GatewayHealth
from services.gateway.hosts.event_handler import HostEventHandler
from services.gateway.hosts.persistence import HostPersistence
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.metrics import OperationMetrics
from services.gateway.operations.reconciler import Reconciler
from services.gateway.operations.secrets import SecretDelivery
from services.gateway.operations.service import OperationService, SubmitSettings
from services.gateway.operations.sync import OperationSync, UuidReservations
from services.gateway.persistence.database import Database
from services.gateway.persistence.host_store import SqlHostStore
from services.gateway.persistence.operation_store import SqlOperationStore
from services.gateway.persistence.retention import OperationRetention
from services.gateway.persistence.run_keys import SqlRunKeys
from services.gateway.persistence.snapshot_notes import SqlSnapshotNotes
from services.gateway.policies.service import PolicyService
from services.gateway.settings import Settings
from services.gateway.telemetry import Telemetry
from services.gateway.vms.create import CreationService
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.snapshots import SnapshotService
from shared.contracts.policy_api import SnapshotsClient
from shared.contracts.worker_api import WorkerClient

# How much longer than a call a submission stays leased to its gateway.
LEASE_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The gateway's parts, built but not started."""

    fleet: FleetView
    operations: OperationService
    creations: CreationService
    pending: PendingCreations
    snapshots: SnapshotService
    policies: PolicyService
    logs: LogService
    consoles: ConsoleService
    hosts: HostPersistence
    health: GatewayHealth
    events: HostEventHandler
    consumers: EventConsumers
    reconciler: Reconciler
    reservations: UuidReservations
    store: SqlOperationStore
    bus: BusConnections
    database: Database
    telemetry: Telemetry


class _Wiring:
    """Shared parts, and the builders of the others."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.gateway = secrets.token_hex(16)
        self.fleet = FleetView(clock, ready_after_s=settings.ready_after_s, budget=settings.budget)
        self.telemetry = Telemetry(self.fleet)
        self.alarm = Alarm()
        self.dead_letters = DeadLetters(self.alarm, self.telemetry.hosts.dead_letter)
        self.calls = Calls(
            self.gateway,
            self.dead_letters,
            self.telemetry.hosts.throttled,
            self.alarm,
            self.fleet.exchange_of,
            timeout_s=settings.call_timeout_s,
        )
        self.central = CentralCalls(self.gateway, self.alarm, timeout_s=settings.call_timeout_s)
        self.policies = SnapshotsClient(self.telemetry.instrument_central(self.central))
        self.worker = WorkerClient(self.telemetry.instrument(self.calls))
        self.database = Database(settings.database_url)
        retention = OperationRetention(operations=settings.operations_per_host)
        self.store = SqlOperationStore(self.database, retention)
        metrics = OperationMetrics(self.telemetry.operations.ended, clock.monotonic)
        self.cache = OperationCache(self.fleet, metrics)
        self.delivery = SecretDelivery(self.worker, clock)
        self.hosts = HostPersistence(self.fleet, SqlHostStore(self.database))

    def operations(self) -> OperationService:
        lease_s = self.settings.call_timeout_s + LEASE_MARGIN_S
        return OperationService(
            self.fleet,
            self.cache,
            self.store,
            self.worker,
            self.clock,
            SubmitSettings(self.gateway, self.settings.start_by_s, lease_s),
            self.delivery,
        )

    def reconciler(self) -> Reconciler:
        return Reconciler(
            self.fleet,
            self.cache,
            self.store,
            self.worker,
            self.clock,
            self.gateway,
            self.delivery,
        )

    def events(self) -> HostEventHandler:
        sync = OperationSync(self.fleet, self.cache, self.store, self.worker, self.clock.wall)
        return HostEventHandler(
            self.fleet, self.cache, self.hosts, self.store, self.worker, sync, self.clock
        )

    def consumers(self, events: HostEventHandler) -> EventConsumers:
        return EventConsumers(
            self.gateway,
            events.on_discovered,
            events.on_event,
            events.on_outcome,
            self.calls.queues.declare,
            self.fleet.exchanges,
            self.dead_letters,
            self.telemetry.hosts.throttled,
            SharedConnection(self.settings.amqp_uri),
        )

    def bus(self, consumers: EventConsumers, events: HostEventHandler) -> BusConnections:
        def on_connected() -> None:
            self.telemetry.broker.note_connection()
            events.on_connected()

        bus = BusConnections(
            self.settings.amqp_uri,
            self.calls,
            self.central,
            consumers,
            self.dead_letters,
            self.alarm,
            on_connected,
            self.fleet.exchanges,
        )
        self.telemetry.broker.watch(lambda: bus.connected)
        self.telemetry.hosts.watch(lambda: bus.blocked)
        return bus

    def streams(self) -> BusStreams:
        return BusStreams(
            self.settings.amqp_uri,
            self.dead_letters,
            self.telemetry.hosts.throttled,
            self.fleet.exchange_of,
        )


def build(settings: Settings, clock: Clock) -> Parts:
    """Build every part of a gateway; nothing is connected or loaded yet."""
    made = _Wiring(settings, clock)
    operations, events, pending = made.operations(), made.events(), PendingCreations()
    consumers = made.consumers(events)
    bus = made.bus(consumers, events)
    return Parts(
        fleet=made.fleet,
        operations=operations,
        creations=CreationService(made.fleet, operations, pending, settings.templates),
        pending=pending,
        snapshots=SnapshotService(made.fleet, made.worker, SqlSnapshotNotes(made.database)),
        policies=PolicyService(
            made.fleet, made.policies, made.worker, SqlRunKeys(made.database, clock.wall)
        ),
        logs=LogService(made.fleet, made.worker),
        consoles=ConsoleService(made.fleet, made.streams(), made.worker),
        hosts=made.hosts,
        health=GatewayHealth(bus, made.database),
        events=events,
        consumers=consumers,
        reconciler=made.reconciler(),
        reservations=UuidReservations(made.fleet, made.store, clock.wall),
        store=made.store,
        bus=bus,
        database=made.database,
        telemetry=made.telemetry,
    )
