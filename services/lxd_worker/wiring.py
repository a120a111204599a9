"""Joins the handlers to the real LXD, journal and bus, and keeps the worker's duties going."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial

import eventlet
from eventlet.greenthread import GreenThread

from services.lxd_worker.clock import SystemClock
from services.lxd_worker.console_stream import HostStreams
from services.lxd_worker.consoles import ConsoleSessions
from services.lxd_worker.creation.admission import Admission, Secrets
from services.lxd_worker.creation.allocations import Allocations
from services.lxd_worker.creation.ports_in_use import ports_in_use
from services.lxd_worker.greenthreads import AutoResetEvent, in_one_thread
from services.lxd_worker.instance_log import instance_log
from services.lxd_worker.instance_snapshots import snapshots
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.lxd.console import LxdTerminals
from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.lxd.host_resources import LxdHostResources
from services.lxd_worker.operations.outbox import report_operations
from services.lxd_worker.operations.record import RunnerContext
from services.lxd_worker.operations.secrets import PendingSecrets
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.operations.supervisor import OperationSupervisor
from services.lxd_worker.ports import Journal, Omission, Omit
from services.lxd_worker.rebuild.planning import TrashCollector
from services.lxd_worker.reports.bounded_publisher import BoundedPublisher
from services.lxd_worker.reports.heartbeat import LxdHealth, heartbeat
from services.lxd_worker.reports.host_report import HostReport
from services.lxd_worker.reports.image_server_client import fetch
from services.lxd_worker.reports.image_servers import ImageServersReport
from services.lxd_worker.reports.inventory import InventoryReport
from services.lxd_worker.settings import Settings
from services.lxd_worker.telemetry import WorkerTelemetry
from shared.contracts.errors import TemporaryError
from shared.contracts.worker_api import InstanceLog, SnapshotList
from shared.lxd.client import LxdClient
from shared.lxd.events import listen
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope
from shared.platform.bus.publisher import EventPublisher
from shared.platform.bus.rpc import HostRpcConsumer
from shared.platform.run.background_loop import run_forever
from shared.platform.run.backoff import Backoff, part_of
from shared.platform.run.epoch import next_epoch

# Between two reports: the first event is told at once, what follows in a burst becomes one reading.
GATHER_S = 0.02
RECONNECT_S = 0.5
# For consoles, when the worker stops: that they take to tell LXD in order.
LEAVE_S = 3.0
# An outage of the broker that is no restart, and over how long reports are spread after a long one.
SHORT_OUTAGE_S = 5.0
MOST_SPREAD_S = 30.0
PRUNE_EVERY_S = 3600.0
# Between two looks whether what a rebuild has kept is to go.
COLLECT_S = 60.0
# Between two looks whether secrets are overdue.
OVERDUE_S = 1.0
# Between two looks whether an operation has lost its greenthread.
ABANDONED_S = 5.0
# Between two looks whether an image server is due.
LOOK_S = 10.0
DAY_S = 24 * 3600.0


def open_journal(settings: Settings, omit: Omit) -> Journal:
    """Return the journal of this state directory; the caller holds `only_worker`."""
    return SqlJournal(settings.state_dir / "journal.db", in_one_thread, omit)


class Worker:
    """The whole worker; `start` sets it going, `stop` ends it as safely as kill -9 would."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        telemetry: WorkerTelemetry,
        calls: HostRpcConsumer,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._journal = journal
        self._telemetry = telemetry
        # Read before any call can come in: what a call adds later is spawned by that call.
        self._unfinished = journal.unfinished()
        self._clock = SystemClock()
        self._threads: list[GreenThread] = []
        self._reports = 0
        self._outbox_backoff = Backoff(first_s=RECONNECT_S, most_s=10.0)
        self._epoch = next_epoch(settings.state_dir / "worker.epoch")
        self._publisher = EventPublisher(settings.amqp_uri, settings.host)
        self._omit = omit = telemetry.omissions
        self._publish = BoundedPublisher(self._publisher.publish, omit)
        self._client = client = LxdClient(
            settings.lxd_socket, settings.host, partial(omit, Omission.ANSWER)
        )
        self._scope = scope = LxdScope(settings.lxd_projects)
        self._lxd = LxdDaemon(client, _host_memory(), scope, omit)
        secrets: Secrets = {}
        self._awaited = PendingSecrets(self._clock, self._carry_out, secrets)
        for entry in self._unfinished:
            if entry.awaits_secrets:
                self._awaited.expect(entry)
        self._operations_bell, self._inventory_bell = AutoResetEvent(), AutoResetEvent()
        self._heartbeat_bell, self._probe_bell = AutoResetEvent(), AutoResetEvent()
        self._host_bell, self._servers_bell = AutoResetEvent(), AutoResetEvent()
        calls.queue_missed = self._heartbeat_bell.ring
        self._watch = LxdHealth(self._heartbeat_bell.ring)
        offer = LxdHostResources(client, self._hears)
        self.inventory = InventoryReport(
            self._epoch,
            self._lxd,
            self._publish,
            self._clock,
            self._inventory_bell.ring,
            self._hears,
            omit,
            eventlet.spawn_after,
            journal,
        )
        self._host_report = self._host_report_of(offer, scope)
        self._servers_report = self._servers_report_of(offer)
        self._trash = TrashCollector(self._lxd, journal, self._clock)
        self._tools = RunnerContext(
            host=settings.host,
            epoch=self._epoch,
            journal=journal,
            lxd=self._lxd,
            clock=self._clock,
            changed=self._operations_bell.ring,
            secrets=secrets,
        )
        self._supervisor = OperationSupervisor(
            self._tools, self._spawn, telemetry.operation_ended, self._awaited
        )
        self.orders = HostOperations(
            host=settings.host,
            journal=journal,
            lxd=self._lxd,
            clock=self._clock,
            carry_out=self._supervisor.begin,
            changed=self._operations_bell.ring,
            most_unfinished=settings.most_unfinished,
            admission=self._admission(offer),
            awaited=self._awaited,
            scope=scope,
            known=self.inventory.known,
            tell=self.inventory.want,
        )
        self.consoles = self._consoles_of(client, scope)
        # The heartbeat first: what comes before it of a new worker is not believed.
        self._publisher.on_connected += [
            self._heartbeat_bell.ring,
            self._operations_bell.ring,
            self._report_again,
            telemetry.broker.note_connection,
        ]
        telemetry.broker.watch(lambda: self._publisher.connected)
        telemetry.watch(lambda: journal.length, lambda: self._watch.connected)

    def snapshots(self, project: str, name: str, uuid: str) -> SnapshotList:
        """List the snapshots of an instance."""
        return snapshots(self._lxd, project, name, uuid)

    def instance_log(self, project: str, name: str, uuid: str) -> InstanceLog:
        """Return what LXD has written about the last start of an instance."""
        return instance_log(self._lxd, project, name, uuid)

    def report_everything(self) -> None:
        """Have all instances, and what there is for new ones, sent soon."""
        self._reports += 1
        self.inventory.want_everything()
        self._host_report.want()
        self._servers_report.want()

    def _report_again(self) -> None:
        """Report everything to a broker that is there again.

        After an outage all hosts would at once; the gateways, which know how many there are, ask
        one after another. What they have not asked for comes by itself within half a minute.
        """
        before = self._reports
        spread_s = min(MOST_SPREAD_S, max(0.0, self._publisher.outage_s - SHORT_OUTAGE_S))
        eventlet.sleep(part_of(spread_s))
        if not spread_s or self._reports == before:
            self.report_everything()

    def start(self) -> None:
        """Go on with what the journal holds unfinished, and take up every duty."""
        self._publisher.start()
        for entry in self._unfinished:
            if not entry.awaits_secrets:
                self._supervisor.begin(entry)
        for duty, pause_s in self._duties():
            self._threads.append(eventlet.spawn(run_forever, duty, pause_s))

    def stop(self) -> None:
        """Leave everything where it stands but the consoles; the journal knows the rest."""
        self.consoles.close_all(LEAVE_S)
        for thread in list(self._threads):
            thread.kill()
        self._publisher.stop()

    def _admission(self, offer: LxdHostResources) -> Admission:
        return Admission(
            host=self._settings.host,
            offer=offer,
            ledger=Allocations(self._journal, self._lxd, self._clock, self.inventory.known),
            pool=self._settings.nat_pool,
            overcommit=self._settings.overcommit,
            remotes=self._settings.remotes,
            in_use=ports_in_use,
        )

    def _host_report_of(self, offer: LxdHostResources, scope: LxdScope) -> HostReport:
        return HostReport(
            host=self._settings.host,
            epoch=self._epoch,
            offer=offer,
            publish=self._publish,
            clock=self._clock,
            wanted=self._host_bell.ring,
            overcommit=self._settings.overcommit,
            address=self._settings.nat_pool.address,
            scope=scope,
            omit=self._omit,
            later=eventlet.spawn_after,
        )

    def _servers_report_of(self, offer: LxdHostResources) -> ImageServersReport:
        return ImageServersReport(
            epoch=self._epoch,
            remotes=self._settings.remotes,
            offer=offer,
            fetch=fetch,
            publish=self._publish,
            clock=self._clock,
            wanted=self._servers_bell.ring,
            omit=self._omit,
        )

    def _consoles_of(self, client: LxdClient, scope: LxdScope) -> ConsoleSessions:
        settings = self._settings
        return ConsoleSessions(
            host=settings.host,
            lxd=self._lxd,
            terminals=LxdTerminals(client, settings.console_command),
            open_stream=HostStreams(settings.amqp_uri, settings.host),
            clock=self._clock,
            beside=eventlet.spawn,
            most=settings.most_consoles,
            scope=scope,
        )

    def _duties(self) -> Iterator[tuple[Callable[[], None], float]]:
        """Every duty with the pause after it."""
        settings = self._settings
        yield self._beat, 0.0
        yield self._probe, 0.0
        yield self._listen, RECONNECT_S
        yield self._report_inventory, GATHER_S
        yield self._report_host, GATHER_S
        yield self._report_servers, GATHER_S
        yield self._servers_report.read, LOOK_S
        yield self._report_operations, 0.0
        yield self._awaited.release_overdue, OVERDUE_S
        yield self._supervisor.take_up_abandoned, ABANDONED_S
        yield self.inventory.want_everything, settings.inventory_s
        yield self._prune, PRUNE_EVERY_S
        yield self._trash.collect, COLLECT_S

    def _carry_out(self, entry: JournalEntry) -> None:
        self._supervisor.begin(entry)

    def _spawn(self, work: Callable[[JournalEntry], None], entry: JournalEntry) -> None:
        thread = eventlet.spawn(work, entry)
        self._threads.append(thread)
        thread.link(lambda _: self._threads.remove(thread))

    def _beat(self) -> None:
        self._heartbeat_bell.wait(self._settings.heartbeat_s)
        self._publish(
            heartbeat(
                self._epoch,
                self.inventory.sequence,
                self._watch,
                self._journal,
                self._clock,
                self._settings.heartbeat_s,
                self._calls.missing_queue,
            )
        )

    def _probe(self) -> None:
        self._watch.probe(self._lxd)
        self._probe_bell.wait(self._settings.heartbeat_s)

    def _hears(self) -> bool:
        return self._watch.connected

    def _listen(self) -> None:
        try:
            listen(self._client, self._scope, self._listening, self._heard, self._missed)
        finally:
            self._watch.listens(listening=False)
            self._probe_bell.ring()

    def _listening(self) -> None:
        self._watch.listens(listening=True)
        self._probe_bell.ring()
        # What happened while nobody listened shows in a whole inventory only.
        self.report_everything()

    def _heard(self, event: LifecycleEvent) -> None:
        self.inventory.heard(event)
        self._host_report.heard(event)

    def _missed(self, reason: str) -> None:
        self._omit(Omission.EVENT, "lifecycle", reason)
        self.report_everything()

    def _report_inventory(self) -> None:
        self._inventory_bell.wait()
        self.inventory.fulfil()

    def _report_host(self) -> None:
        self._host_bell.wait(self._settings.inventory_s)
        self._host_report.fulfil()

    def _report_servers(self) -> None:
        self._servers_bell.wait()
        self._servers_report.fulfil()

    def _report_operations(self) -> None:
        self._operations_bell.wait()
        try:
            report_operations(self._journal, self._publish)
        except TemporaryError:
            eventlet.spawn_after(self._outbox_backoff.next_s(), self._operations_bell.ring)
            raise
        self._outbox_backoff.reset()

    def _prune(self) -> None:
        self._journal.prune(time.time() - self._settings.journal_days * DAY_S)


def _host_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
