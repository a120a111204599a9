"""Builds the worker: joins its parts to the real LXD, journal and bus."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial

import eventlet

from services.lxd_worker.clock import SystemClock
from services.lxd_worker.console_stream import HostStreams
from services.lxd_worker.consoles import ConsoleSessions
from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.creation.allocations import Allocations
from services.lxd_worker.creation.port_pool import ports_in_use
from services.lxd_worker.greenthreads import (
    AutoResetEvent,
    GreenthreadGroup,
    run_in_native_thread,
)
from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.lxd.console import LxdTerminals
from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.lxd.host_resources import LxdHostResources
from services.lxd_worker.omissions import Omission, Omit
from services.lxd_worker.operations.record import RunnerContext
from services.lxd_worker.operations.secrets import PendingSecrets
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.operations.supervisor import OperationSupervisor
from services.lxd_worker.rebuild.trash import TrashCollector
from services.lxd_worker.reporting import Reporting, ReportSignals
from services.lxd_worker.reports.heartbeat import HeartbeatReport, LxdHealth
from services.lxd_worker.reports.host_report import HostReport
from services.lxd_worker.reports.image_server_client import fetch
from services.lxd_worker.reports.image_servers import ImageServersReport
from services.lxd_worker.reports.inventory import InventoryReport
from services.lxd_worker.reports.publishing import BoundedPublisher
from services.lxd_worker.settings import Settings
from services.lxd_worker.telemetry import WorkerTelemetry
from services.lxd_worker.worker import Worker
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from shared.platform.bus.publisher import EventPublisher
from shared.platform.bus.rpc import HostRpcConsumer
from shared.platform.run.epoch import next_epoch


def open_journal(settings: Settings, omit: Omit) -> Journal:
    """Return the journal of the state directory; the caller holds its `process_lock`."""
    return SqlJournal(settings.state_dir / "journal.db", run_in_native_thread, omit)


def build_worker(
    settings: Settings, journal: Journal, telemetry: WorkerTelemetry, calls: HostRpcConsumer
) -> Worker:
    """Return the worker of one host; nothing of it runs yet."""
    # Read before any call can come in: what a call adds later is started by that call.
    unfinished = journal.unfinished()
    parts = _Parts(settings, journal, telemetry)
    reporting = _reporting(parts, calls)
    supervisor, pending = _supervisor(parts)
    for entry in unfinished:
        if entry.awaits_secrets:
            pending.expect(entry)
    worker = Worker(
        lxd=parts.lxd,
        journal=journal,
        clock=parts.clock,
        reporting=reporting,
        operations=_operations(parts, reporting.inventory, supervisor, pending),
        supervisor=supervisor,
        pending=pending,
        trash=TrashCollector(parts.lxd, journal, parts.clock),
        consoles=_consoles(parts),
        threads=parts.threads,
        operations_changed=parts.operations_changed,
        unfinished=unfinished,
        journal_days=settings.journal_days,
    )
    _connect(worker, telemetry, calls)
    return worker


@dataclass
class _Parts:
    """What several parts of the worker share."""

    settings: Settings
    journal: Journal
    telemetry: WorkerTelemetry
    clock: SystemClock = field(default_factory=SystemClock)
    threads: GreenthreadGroup = field(default_factory=GreenthreadGroup)
    signals: ReportSignals = field(default_factory=ReportSignals)
    operations_changed: AutoResetEvent = field(default_factory=AutoResetEvent)

    def __post_init__(self) -> None:
        settings = self.settings
        self.omit = self.telemetry.omissions
        self.epoch = next_epoch(settings.state_dir / "worker.epoch")
        self.publisher = EventPublisher(settings.amqp_uri, settings.host)
        self.publish = BoundedPublisher(self.publisher.publish, self.omit)
        self.scope = LxdScope(settings.lxd_projects)
        on_unreadable = partial(self.omit, Omission.ANSWER)
        self.client = LxdClient(settings.lxd_socket, settings.host, on_unreadable)
        self.lxd = LxdDaemon(self.client, _host_memory(), self.scope, self.omit)
        self.health = LxdHealth(self.signals.heartbeat.set)
        self.resources = LxdHostResources(self.client, self.is_connected)

    def is_connected(self) -> bool:
        """Whether LXD answers and its events arrive."""
        return self.health.connected


def _reporting(parts: _Parts, calls: HostRpcConsumer) -> Reporting:
    settings = parts.settings
    return Reporting(
        lxd=parts.lxd,
        client=parts.client,
        scope=parts.scope,
        omit=parts.omit,
        health=parts.health,
        heartbeat=HeartbeatReport(
            epoch=parts.epoch,
            health=parts.health,
            journal=parts.journal,
            clock=parts.clock,
            interval_s=settings.heartbeat_s,
        ),
        inventory=_inventory(parts),
        host=_host_report(parts),
        image_servers=_image_servers(parts),
        publish=parts.publish,
        publisher=parts.publisher,
        calls=calls,
        signals=parts.signals,
        clock=parts.clock,
        heartbeat_s=settings.heartbeat_s,
        inventory_s=settings.inventory_s,
    )


def _inventory(parts: _Parts) -> InventoryReport:
    return InventoryReport(
        epoch=parts.epoch,
        lxd=parts.lxd,
        publish=parts.publish,
        clock=parts.clock,
        signal=parts.signals.inventory.set,
        listening=parts.is_connected,
        omit=parts.omit,
        later=eventlet.spawn_after,
        journal=parts.journal,
    )


def _host_report(parts: _Parts) -> HostReport:
    return HostReport(
        host=parts.settings.host,
        epoch=parts.epoch,
        resources=parts.resources,
        publish=parts.publish,
        clock=parts.clock,
        signal=parts.signals.host.set,
        overcommit=parts.settings.overcommit,
        address=parts.settings.nat_pool.address,
        scope=parts.scope,
        omit=parts.omit,
        later=eventlet.spawn_after,
    )


def _image_servers(parts: _Parts) -> ImageServersReport:
    return ImageServersReport(
        epoch=parts.epoch,
        remotes=parts.settings.remotes,
        resources=parts.resources,
        fetch=fetch,
        publish=parts.publish,
        clock=parts.clock,
        signal=parts.signals.image_servers.set,
        omit=parts.omit,
    )


def _supervisor(parts: _Parts) -> tuple[OperationSupervisor, PendingSecrets]:
    context = RunnerContext(
        host=parts.settings.host,
        epoch=parts.epoch,
        journal=parts.journal,
        lxd=parts.lxd,
        clock=parts.clock,
        changed=parts.operations_changed.set,
        secrets={},
    )
    pending = PendingSecrets(parts.clock, lambda entry: supervisor.start(entry), context.secrets)
    ended = parts.telemetry.operation_ended
    supervisor = OperationSupervisor(context, parts.threads.spawn, ended, held_back=pending)
    return supervisor, pending


def _operations(
    parts: _Parts,
    inventory: InventoryReport,
    supervisor: OperationSupervisor,
    pending: PendingSecrets,
) -> HostOperations:
    settings = parts.settings
    cached = inventory.cached_instances
    admission = Admission(
        host=settings.host,
        resources=parts.resources,
        allocations=Allocations(parts.journal, parts.lxd, parts.clock, cached),
        pool=settings.nat_pool,
        overcommit=settings.overcommit,
        remotes=settings.remotes,
        ports_in_use=ports_in_use,
    )
    return HostOperations(
        host=settings.host,
        journal=parts.journal,
        lxd=parts.lxd,
        clock=parts.clock,
        start=supervisor.start,
        changed=parts.operations_changed.set,
        most_unfinished=settings.most_unfinished,
        admission=admission,
        pending=pending,
        scope=parts.scope,
        cached=cached,
        report=inventory.request_instance,
    )


def _consoles(parts: _Parts) -> ConsoleSessions:
    settings = parts.settings
    return ConsoleSessions(
        host=settings.host,
        lxd=parts.lxd,
        terminals=LxdTerminals(parts.client, settings.console_command),
        open_stream=HostStreams(settings.amqp_uri, settings.host),
        clock=parts.clock,
        spawn=eventlet.spawn,
        most=settings.most_consoles,
        scope=parts.scope,
    )


def _connect(worker: Worker, telemetry: WorkerTelemetry, calls: HostRpcConsumer) -> None:
    """Have the worker hear of the broker's connection, and Prometheus of the worker."""
    reporting = worker.reporting
    calls.queue_missed = reporting.signals.heartbeat.set
    # The heartbeat first: gateways believe nothing of a new worker that comes before it.
    reporting.publisher.on_connected += [
        reporting.signals.heartbeat.set,
        worker.operations_changed.set,
        reporting.on_connected,
        telemetry.broker.note_connection,
    ]
    telemetry.broker.watch(lambda: reporting.publisher.connected)
    telemetry.watch(lambda: worker.journal.length, lambda: reporting.health.connected)


def _host_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
