"""Builds the worker: joins its parts to the real LXD, journal and bus."""

from __future__ import annotations

import os
from functools import partial

import eventlet

from services.lxd_worker.clock import SystemClock, boot_time
from services.lxd_worker.console_stream import HostStreams
from services.lxd_worker.consoles import ConsoleSessions
from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.creation.allocations import Allocations
from services.lxd_worker.creation.port_pool import ports_in_use
from services.lxd_worker.greenthreads import AutoResetEvent, GreenthreadGroup
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.lxd.console import LxdTerminals
from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.lxd.host_resources import LxdHostResources
from services.lxd_worker.omissions import Omission, Omit
from services.lxd_worker.operations.outbox import operation_outbox
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.secrets import PendingSecrets
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.operations.supervisor import OperationSupervisor
from services.lxd_worker.policies.assembly import build_policies
from services.lxd_worker.policies.outbox import policy_run_outbox
from services.lxd_worker.policies.service import HostPolicies
from services.lxd_worker.policies.store import SqlPolicyStore
from services.lxd_worker.rebuild.trash import TrashCollector
from services.lxd_worker.report_loops import Reporting, ReportSignals
from services.lxd_worker.reports.heartbeat import LxdHealth
from services.lxd_worker.reports.host_report import HostReport
from services.lxd_worker.reports.image_server_client import fetch
from services.lxd_worker.reports.image_servers import ImageServersReport
from services.lxd_worker.reports.inventory import InventoryReport
from services.lxd_worker.reports.publishing import BoundedPublisher, ReportContext
from services.lxd_worker.settings import Settings
from services.lxd_worker.telemetry import WorkerTelemetry
from services.lxd_worker.worker import Worker
from shared.contracts.operations import Operation
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from shared.platform.bus.publisher import EventPublisher
from shared.platform.bus.rpc import HostRpcConsumer
from shared.platform.run.epoch import next_epoch
from shared.platform.run.native_thread import calculate_aside, run_in_native_thread


def open_journal(settings: Settings, omit: Omit) -> SqlJournal:
    """Return the journal of the state directory; the caller holds its `process_lock`."""
    return SqlJournal(settings.state_dir / "journal.db", run_in_native_thread, omit)


def build_worker(
    settings: Settings, journal: SqlJournal, telemetry: WorkerTelemetry, calls: HostRpcConsumer
) -> Worker:
    """Return the worker of one host; nothing of it runs yet."""
    # Read before any call can come in: what a call adds later is started by that call.
    unfinished = journal.unfinished()
    parts = _Parts(settings, journal, telemetry)
    supervisor, pending = _supervisor(parts)
    operations = _operations(parts, supervisor, pending)
    policies = _policies(parts, operations)
    parts.on_ended.append(policies.scheduler.on_ended)
    reporting = _reporting(parts, policies, calls)
    for entry in unfinished:
        if entry.awaits_secrets:
            pending.expect(entry)
    worker = Worker(
        context=parts.operations,
        reporting=reporting,
        operations=operations,
        supervisor=supervisor,
        pending=pending,
        outbox=operation_outbox(journal, parts.publish, parts.changed.set, eventlet.spawn_after),
        trash=TrashCollector(parts.lxd, journal, parts.clock),
        policies=policies,
        policy_runs=policy_run_outbox(
            parts.store, parts.publish, parts.runs_changed.set, eventlet.spawn_after
        ),
        consoles=_consoles(parts),
        threads=parts.threads,
        operations_changed=parts.changed,
        policies_changed=parts.policies_changed,
        policy_runs_changed=parts.runs_changed,
        unfinished=unfinished,
        journal_days=settings.journal_days,
    )
    _connect(worker, telemetry, calls)
    return worker


class _Parts:
    """What several parts of the worker share."""

    def __init__(self, settings: Settings, journal: SqlJournal, telemetry: WorkerTelemetry) -> None:
        host, omit = settings.host, telemetry.omissions
        self.settings, self.journal, self.telemetry = settings, journal, telemetry
        self.clock, self.threads = SystemClock(), GreenthreadGroup()
        self.signals, self.changed = ReportSignals(), AutoResetEvent()
        self.policies_changed, self.runs_changed = AutoResetEvent(), AutoResetEvent()
        self.on_ended = [telemetry.operation_ended]
        self.store = SqlPolicyStore(journal.database, omit)
        self.publisher = EventPublisher(settings.amqp_uri, host)
        self.publish = BoundedPublisher(self.publisher.publish, omit)
        self.scope = LxdScope(settings.lxd_projects)
        self.client = LxdClient(settings.lxd_socket, host, partial(omit, Omission.ANSWER))
        self.lxd = LxdDaemon(self.client, _host_memory(), self.scope, omit)
        self.health = LxdHealth(self.signals.heartbeat.set)
        self.resources = LxdHostResources(self.client, self.is_connected)
        epoch = next_epoch(settings.state_dir / "worker.epoch")
        self.reports = ReportContext(epoch, self.publish, self.clock, omit, eventlet.spawn_after)
        self.inventory = InventoryReport(
            self.reports, self.lxd, journal, self.signals.inventory.set, self.is_connected
        )
        self.operations = OperationContext(
            host=host,
            epoch=epoch,
            journal=journal,
            lxd=self.lxd,
            reports=self.inventory,
            clock=self.clock,
            changed=self.changed.set,
            secrets={},
        )

    def operation_ended(self, operation: Operation) -> None:
        """Tell everybody who waits for the ends of operations."""
        for call in self.on_ended:
            call(operation)

    def is_connected(self) -> bool:
        """Whether LXD answers and its events arrive."""
        return self.health.connected


def _reporting(parts: _Parts, policies: HostPolicies, calls: HostRpcConsumer) -> Reporting:
    settings, signals, context = parts.settings, parts.signals, parts.reports
    host = HostReport(
        context=context,
        host=settings.host,
        resources=parts.resources,
        signal=signals.host.set,
        overcommit=settings.overcommit,
        address=settings.nat_pool.address,
        scope=parts.scope,
    )
    image_servers = ImageServersReport(
        context, settings.remotes, parts.resources, fetch, signals.image_servers.set
    )
    return Reporting(
        context=context,
        lxd=parts.lxd,
        journal=parts.journal,
        client=parts.client,
        scope=parts.scope,
        health=parts.health,
        inventory=parts.inventory,
        host=host,
        image_servers=image_servers,
        protection=policies.protection,
        publisher=parts.publisher,
        calls=calls,
        signals=signals,
        heartbeat_s=settings.heartbeat_s,
        inventory_s=settings.inventory_s,
    )


def _supervisor(parts: _Parts) -> tuple[OperationSupervisor, PendingSecrets]:
    context = parts.operations
    pending = PendingSecrets(parts.clock, lambda entry: supervisor.start(entry), context.secrets)
    supervisor = OperationSupervisor(
        context, parts.threads.start, parts.operation_ended, held_back=pending
    )
    return supervisor, pending


def _operations(
    parts: _Parts,
    supervisor: OperationSupervisor,
    pending: PendingSecrets,
) -> HostOperations:
    settings, cached = parts.settings, parts.inventory.cached_instances
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
        context=parts.operations,
        start=supervisor.start,
        most_unfinished=settings.most_unfinished,
        admission=admission,
        pending=pending,
        scope=parts.scope,
        cached=cached,
        report=parts.inventory.request_instance,
    )


def _policies(parts: _Parts, operations: HostOperations) -> HostPolicies:
    return build_policies(
        context=parts.operations,
        reports=parts.reports,
        operations=operations,
        store=parts.store,
        cached=parts.inventory.cached_instances,
        boot_time=boot_time,
        calculate=calculate_aside,
        spawn=parts.threads.spawn,
        wake=parts.policies_changed.set,
        runs_changed=parts.runs_changed.set,
        protection_changed=parts.signals.protection.set,
        ended=parts.telemetry.policy_run_ended,
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
        worker.policy_runs_changed.set,
        reporting.on_connected,
        telemetry.broker.note_connection,
    ]
    telemetry.broker.watch(lambda: reporting.publisher.connected)
    telemetry.watch(lambda: worker.context.journal.length, lambda: reporting.health.connected)
    telemetry.watch_policies(
        lambda: worker.policies.plan.version, lambda: worker.policies.clock_guard.trusted
    )


def _host_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
