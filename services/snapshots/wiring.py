"""Builds the service: joins its parts to the database and the bus."""

from __future__ import annotations

import secrets
import time

import eventlet

from services.snapshots.bus.calls import HostCalls
from services.snapshots.bus.dead_letters import DeadLetters
from services.snapshots.bus.inboxes import Inboxes
from services.snapshots.bus.listener import HostListener
from services.snapshots.clock_watch import ClockWatch
from services.snapshots.hosts.registry import HostRegistry
from services.snapshots.leader import Leader
from services.snapshots.leadership import Leadership
from services.snapshots.persistence.database import Database
from services.snapshots.persistence.lease import PlanLease
from services.snapshots.persistence.plan_store import SqlPlans
from services.snapshots.persistence.policy_store import SqlPolicies
from services.snapshots.persistence.run_store import SqlRuns
from services.snapshots.plans.planner import Planner
from services.snapshots.policies.service import CentralPolicies
from services.snapshots.runs.history import RunHistory
from services.snapshots.runs.sync import RunSync
from services.snapshots.settings import Settings
from services.snapshots.telemetry import SnapshotsTelemetry
from shared.contracts.errors import BrokerUnavailable, DatabaseUnavailable
from shared.contracts.policies import Plan
from shared.contracts.policy_api import PlanList, RunPage, RunQuery
from shared.platform.bus.confirmed_publisher import ConfirmedPublisher
from shared.platform.run.backoff import Backoff

# After the death of the copy that leads, another one leads within this time.
LEASE_S = 10.0


class Snapshots:
    """The whole service, as callers see it: `shared.contracts.policy_api` documents the calls."""

    def __init__(self, settings: Settings, telemetry: SnapshotsTelemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self.database = Database(settings.database_url)
        self._lease = PlanLease(self.database, secrets.token_hex(16), LEASE_S)
        self._plans = SqlPlans(self.database, self._lease)
        self._runs = SqlRuns(self.database)
        self.leadership = Leadership(self._lease, self._build_leader)
        self.policies = CentralPolicies(SqlPolicies(self.database), self.leadership.poke)
        self._watch()

    def migrate(self) -> None:
        """Migrate the database, however long it takes until it is there."""
        backoff = Backoff(0.5, 5.0)
        while not self._migrated():
            eventlet.sleep(backoff.next_s())

    def _migrated(self) -> bool:
        try:
            self.database.migrate()
        except DatabaseUnavailable:
            return False
        return True

    def runs(self, query: RunQuery) -> RunPage:
        """Return what was done for slots of policies."""
        return self._runs.page(query)

    def plans(self) -> PlanList:
        """Return which host has which plan."""
        return PlanList(plans=[each.status for each in self._plans.hosts()])

    def _build_leader(self) -> Leader:
        settings, telemetry = self._settings, self._telemetry
        publisher = ConfirmedPublisher(settings.amqp_uri, "plans")
        publisher.on_connected.append(telemetry.broker.note_connection)
        registry = HostRegistry(self._plans, settings.keep_hosts_s)
        inboxes = Inboxes(telemetry.count_throttled)
        dead_letters = DeadLetters(publisher, telemetry.count_dead_letter)
        listener = HostListener(
            settings.amqp_uri,
            inboxes,
            registry,
            on_subscribed=lambda host: leader.on_subscribed(host),
            on_unreadable=dead_letters.add,
        )
        calls = HostCalls(publisher, lambda: listener.reply_id)
        planner = Planner(
            self._plans,
            settings.limits,
            lambda: registry.names,
            lambda plan: self._send(calls, plan),
            lambda: eventlet.sleep(0),
        )
        leader = Leader(
            registry=registry,
            planner=planner,
            history=RunHistory(self._runs, settings.retention, time.time, telemetry.count_run),
            sync=RunSync(),
            inboxes=inboxes,
            listener=listener,
            publisher=publisher,
            calls=calls,
            dead_letters=dead_letters,
            on_refused=lambda: telemetry.count_plan("refused"),
            clock_watch=ClockWatch(),
        )
        return leader

    def _send(self, calls: HostCalls, plan: Plan) -> bool:
        if not self.leadership.held:
            # Another copy may lead by now.
            raise BrokerUnavailable
        reached = calls.set_plan(plan)
        self._telemetry.count_plan("sent" if reached else "unreachable")
        return reached

    def _watch(self) -> None:
        telemetry = self._telemetry
        telemetry.broker.watch(lambda: bool((lead := self._leader) and lead.publisher.connected))
        telemetry.watch(
            leads=lambda: float(self._leader is not None),
            policies=lambda: float(lead.planner.policies if (lead := self._leader) else 0),
            hosts=lambda: float(len(lead.registry.names) if (lead := self._leader) else 0),
            pending=lambda: float(lead.planner.pending if (lead := self._leader) else 0),
            untrusted=lambda: float(lead.planner.untrusted if (lead := self._leader) else 0),
        )

    @property
    def _leader(self) -> Leader | None:
        leading = self.leadership.leading
        return leading if isinstance(leading, Leader) else None
