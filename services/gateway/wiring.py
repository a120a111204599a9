"""Joins the gateway's handlers with the broker and the database; the only file that knows both."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.bus.calls import Calls
from services.gateway.bus.connection import Alarm, SharedConnection
from services.gateway.bus.connections import BusConnections
from services.gateway.bus.dead_letters import DeadLetters
from services.gateway.bus.incoming import EventConsumers
from services.gateway.bus.streams import BusStreams
from services.gateway.clock import Clock
from services.gateway.consoles import ConsoleService
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
from services.gateway.persistence.database import Database, answers
from services.gateway.persistence.host_store import SqlHostStore
from services.gateway.persistence.operation_store import SqlOperationStore
from services.gateway.persistence.retention import Retention
from services.gateway.persistence.snapshot_notes import SqlSnapshotNotes
from services.gateway.settings import Settings
from services.gateway.telemetry import Telemetry
from services.gateway.vms.create import CreationService
from services.gateway.vms.logs import LogService
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.snapshot_list import SnapshotService
from shared.contracts.worker_api import LxdWorker

# How much longer than a call a submission stays its gateway's own business.
LEASE_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Implements `ports.Health`."""

    bus: BusConnections
    database: Database

    @property
    def broker_connected(self) -> bool:
        """Whether calls can be made now, unless the broker is blocked."""
        return self.bus.connected

    @property
    def broker_blocked(self) -> str:
        """Why the broker takes no messages now; empty: it does."""
        return self.bus.blocked

    async def database_answers(self) -> bool:
        """Whether the database can be written."""
        return await answers(self.database)


@dataclass(frozen=True, slots=True)
class Parts:
    """The gateway's parts, joined and not started."""

    fleet: FleetView
    operations: OperationService
    creations: CreationService
    coming: PendingCreations
    snapshots: SnapshotService
    logs: LogService
    consoles: ConsoleService
    hosts: HostPersistence
    health: GatewayHealth
    events: HostEvents
    incoming: EventConsumers
    resolver: Reconciler
    reservations: Reservations
    store: SqlOperationStore
    bus: BusConnections
    database: Database
    telemetry: Telemetry


def build(settings: Settings, clock: Clock) -> Parts:
    """Make every part of one gateway; nothing is connected or read yet."""
    gateway = secrets.token_hex(16)
    fleet = FleetView(clock, ready_after_s=settings.ready_after_s, budget=settings.budget)
    telemetry = Telemetry(fleet)
    alarm = Alarm()
    dead_letters = DeadLetters(alarm, telemetry.hosts.dead_letter)
    throttled = telemetry.hosts.throttled
    timeout_s = settings.call_timeout_s
    calls = Calls(gateway, dead_letters, throttled, alarm, fleet.exchange_of, timeout_s=timeout_s)
    worker = LxdWorker(telemetry.timed(calls))
    database = Database(settings.database_url)
    store = SqlOperationStore(database, Retention(operations=settings.operations_per_host))
    ledger = OperationCache(fleet, OperationMetrics(telemetry.operations.ended, clock.monotonic))
    keeper = HostPersistence(fleet, SqlHostStore(database))
    history = OperationSync(fleet, ledger, store, worker, clock.wall)
    events = HostEvents(fleet, ledger, keeper, store, worker, history, clock)
    incoming = EventConsumers(
        gateway,
        events.on_found,
        events.on_event,
        events.on_outcome,
        calls.queues.make,
        fleet.exchanges,
        dead_letters,
        throttled,
        SharedConnection(settings.amqp_uri),
    )
    bus = BusConnections(
        settings.amqp_uri,
        calls,
        incoming,
        dead_letters,
        alarm,
        _each(telemetry.broker.note_connection, events.on_connected),
        fleet.exchanges,
    )
    telemetry.broker.watch(lambda: bus.connected)
    telemetry.hosts.watch(lambda: bus.blocked)
    lease_s = timeout_s + LEASE_MARGIN_S
    submitting = SubmitSettings(gateway, settings.start_by_s, lease_s)
    delivery = SecretDelivery(worker, clock)
    operations = OperationService(fleet, ledger, store, worker, clock, submitting, delivery)
    coming = PendingCreations()
    streams = BusStreams(settings.amqp_uri, dead_letters, throttled, fleet.exchange_of)
    return Parts(
        fleet=fleet,
        operations=operations,
        creations=CreationService(fleet, operations, coming, settings.templates),
        coming=coming,
        snapshots=SnapshotService(fleet, worker, SqlSnapshotNotes(database)),
        logs=LogService(fleet, worker),
        consoles=ConsoleService(fleet, streams, worker),
        hosts=keeper,
        health=GatewayHealth(bus, database),
        events=events,
        incoming=incoming,
        resolver=Reconciler(fleet, ledger, store, worker, clock, gateway, delivery),
        reservations=Reservations(fleet, store, clock),
        store=store,
        bus=bus,
        database=database,
        telemetry=telemetry,
    )


def _each(*calls: Callable[[], None]) -> Callable[[], None]:
    def call_each() -> None:
        for call in calls:
            call()

    return call_each
