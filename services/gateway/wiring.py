"""Joins the gateway's handlers with the broker and the database; the only file that knows both."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.adapters.bus import Bus
from services.gateway.adapters.calls import Calls
from services.gateway.adapters.connection import Alarm, SharedConnection
from services.gateway.adapters.database import Database, answers
from services.gateway.adapters.dead_letters import DeadLetters
from services.gateway.adapters.host_store import SqlHostStore
from services.gateway.adapters.incoming import Incoming
from services.gateway.adapters.operation_store import SqlOperationStore
from services.gateway.adapters.retention import Retention
from services.gateway.adapters.snapshot_notes import SqlSnapshotNotes
from services.gateway.adapters.streams import BusStreams
from services.gateway.adapters.telemetry import Telemetry
from services.gateway.domain.clock import Clock
from services.gateway.domain.fleet import FleetView
from services.gateway.handlers.coming import Coming
from services.gateway.handlers.consoles import ConsolesHandler
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
from services.gateway.settings import Settings
from shared.contracts.worker_api import LxdWorker

# How much longer than a call a submission stays its gateway's own business.
LEASE_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Implements `ports.Health`."""

    bus: Bus
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
    operations: OperationsHandler
    creations: CreationsHandler
    coming: Coming
    snapshots: SnapshotsHandler
    logs: LogsHandler
    consoles: ConsolesHandler
    hosts: Keeper
    health: GatewayHealth
    events: FleetHandler
    incoming: Incoming
    resolver: Resolver
    reservations: Reservations
    store: SqlOperationStore
    bus: Bus
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
    ledger = Ledger(fleet, Tally(telemetry.operations.ended, clock.monotonic))
    keeper = Keeper(fleet, SqlHostStore(database))
    history = History(fleet, ledger, store, worker, clock.wall)
    events = FleetHandler(fleet, ledger, keeper, store, worker, history, clock)
    incoming = Incoming(
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
    bus = Bus(
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
    submitting = Submitting(gateway, settings.start_by_s, lease_s)
    delivery = SecretDelivery(worker, clock)
    operations = OperationsHandler(fleet, ledger, store, worker, clock, submitting, delivery)
    coming = Coming()
    streams = BusStreams(settings.amqp_uri, dead_letters, throttled, fleet.exchange_of)
    return Parts(
        fleet=fleet,
        operations=operations,
        creations=CreationsHandler(fleet, operations, coming, settings.templates),
        coming=coming,
        snapshots=SnapshotsHandler(fleet, worker, SqlSnapshotNotes(database)),
        logs=LogsHandler(fleet, worker),
        consoles=ConsolesHandler(fleet, streams, worker),
        hosts=keeper,
        health=GatewayHealth(bus, database),
        events=events,
        incoming=incoming,
        resolver=Resolver(fleet, ledger, store, worker, clock, gateway, delivery),
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
