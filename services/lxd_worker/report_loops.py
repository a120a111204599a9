"""Keeps the fleet informed about this host: the reports, their loops, and what triggers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from services.lxd_worker.greenthreads import AutoResetEvent
from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.omissions import Omission
from services.lxd_worker.policies.protection import REGULAR_S, ProtectionReport
from services.lxd_worker.protocols import Lxd
from services.lxd_worker.reports.heartbeat import LxdHealth, heartbeat
from services.lxd_worker.reports.host_report import HostReport
from services.lxd_worker.reports.image_servers import ImageServersReport
from services.lxd_worker.reports.inventory import InventoryReport
from services.lxd_worker.reports.publishing import ReportContext
from shared.lxd.client import LxdClient
from shared.lxd.events import listen
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope
from shared.platform.bus.publisher import EventPublisher
from shared.platform.bus.rpc import HostRpcConsumer
from shared.platform.run.backoff import jitter

# Between two reports of how instances are protected.
PROTECTION_S = 2.0
# Between two reports: the first event is reported at once, a burst after it becomes one reading.
GATHER_S = 0.02
RECONNECT_S = 0.5
# An outage of the broker that is no restart, and over how long reports are spread after one.
SHORT_OUTAGE_S = 5.0
MOST_SPREAD_S = 30.0
# Between two checks whether an image server is due.
CHECK_SERVERS_S = 10.0

# What is done again and again, with the pause after each time.
Loop = tuple[Callable[[], None], float]


@dataclass(frozen=True, slots=True)
class ReportSignals:
    """What wakes each of the loops."""

    heartbeat: AutoResetEvent = field(default_factory=AutoResetEvent)
    probe: AutoResetEvent = field(default_factory=AutoResetEvent)
    inventory: AutoResetEvent = field(default_factory=AutoResetEvent)
    host: AutoResetEvent = field(default_factory=AutoResetEvent)
    image_servers: AutoResetEvent = field(default_factory=AutoResetEvent)
    protection: AutoResetEvent = field(default_factory=AutoResetEvent)


@dataclass(slots=True)
class Reporting:
    """The reports of one host; `heartbeat_s` and `inventory_s` are their intervals."""

    context: ReportContext
    lxd: Lxd
    journal: Journal
    client: LxdClient
    scope: LxdScope
    health: LxdHealth
    inventory: InventoryReport
    host: HostReport
    image_servers: ImageServersReport
    protection: ProtectionReport
    publisher: EventPublisher
    calls: HostRpcConsumer
    signals: ReportSignals
    heartbeat_s: float
    inventory_s: float
    _requests: int = 0

    def request_everything(self) -> None:
        """Have all instances, and what there is for new ones, sent soon."""
        self._requests += 1
        self.inventory.request_all()
        self.host.request()
        self.image_servers.request()
        self.protection.request()

    def on_connected(self) -> None:
        """Report everything to a broker that is back.

        After a long outage all hosts would do so at once; the gateways, which know how many there
        are, request it from one after another. What they have not requested within half a minute
        is sent anyway.
        """
        before = self._requests
        spread_s = min(MOST_SPREAD_S, max(0.0, self.publisher.outage_s - SHORT_OUTAGE_S))
        self.context.clock.sleep(jitter(spread_s))
        if not spread_s or self._requests == before:
            self.request_everything()

    def loops(self) -> Iterator[Loop]:
        """Return what is to run for as long as the worker does."""
        yield self._send_heartbeat, 0.0
        yield self._probe, 0.0
        yield self._listen, RECONNECT_S
        yield self._publish_inventory, GATHER_S
        yield self._publish_host, GATHER_S
        yield self._publish_image_servers, GATHER_S
        yield self.image_servers.read_due, CHECK_SERVERS_S
        yield self.inventory.request_all, self.inventory_s
        yield self._publish_protection, PROTECTION_S

    def _send_heartbeat(self) -> None:
        self.signals.heartbeat.wait(self.heartbeat_s)
        sequence, missing = self.inventory.sequence, self.calls.missing_queue
        self.context.publish(
            heartbeat(self.context, self.health, self.journal, self.heartbeat_s, sequence, missing)
        )

    def _probe(self) -> None:
        self.health.probe(self.lxd)
        self.signals.probe.wait(self.heartbeat_s)

    def _listen(self) -> None:
        try:
            handlers = (self._on_listening, self._on_event, self._on_unreadable_event)
            listen(self.client, self.scope, *handlers)
        finally:
            self.health.set_listening(listening=False)
            self.signals.probe.set()

    def _on_listening(self) -> None:
        self.health.set_listening(listening=True)
        self.signals.probe.set()
        # Only a whole inventory shows what happened while nobody listened.
        self.request_everything()
        self.protection.on_listening()

    def _on_event(self, event: LifecycleEvent) -> None:
        self.inventory.on_event(event)
        self.host.on_event(event)
        self.protection.on_event(event)

    def _on_unreadable_event(self, reason: str) -> None:
        self.context.omit(Omission.EVENT, "lifecycle", reason)
        # Anything may have changed.
        self.request_everything()

    def _publish_inventory(self) -> None:
        self.signals.inventory.wait()
        self.inventory.publish_requested()

    def _publish_host(self) -> None:
        self.signals.host.wait(self.inventory_s)
        self.host.publish_if_changed()

    def _publish_image_servers(self) -> None:
        self.signals.image_servers.wait()
        self.image_servers.publish_if_changed()

    def _publish_protection(self) -> None:
        self.signals.protection.wait(REGULAR_S)
        self.protection.publish()
