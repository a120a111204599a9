"""What the copy with the lease does: it hears hosts, stores their runs, makes and sends plans."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import eventlet
from eventlet.event import Event
from eventlet.greenthread import GreenThread

from services.snapshots.bus.calls import RUNS_SINCE, SET_PLAN, HostCalls
from services.snapshots.bus.dead_letters import DeadLetters
from services.snapshots.bus.inboxes import Inboxes
from services.snapshots.bus.listener import HostListener
from services.snapshots.bus.messages import CallAnswer, Message, Received, ReportedPlan, read
from services.snapshots.clock_watch import ClockWatch
from services.snapshots.hosts.registry import HostRegistry
from services.snapshots.plans.delivery import Carried
from services.snapshots.plans.planner import Planner
from services.snapshots.runs.history import RunHistory
from services.snapshots.runs.sync import PAGE, RunSync
from shared.contracts.errors import DatabaseUnavailable, UnreadableMessage
from shared.contracts.policies import PolicyRun
from shared.platform.bus.confirmed_publisher import ConfirmedPublisher
from shared.platform.run.background_loop import run_forever
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

T = TypeVar("T")

# Messages that are stored in one transaction, and the longest wait for one.
BATCH, WAIT_S = 200, 0.5
PLAN_S, SAVE_S, PURGE_S = 1.0, 2.0, 600.0
# After an error that nobody expected.
LISTEN_S = 1.0


@dataclass(slots=True)
class Leader:
    """The loops; `start` sets them going, `stop` ends them as safely as kill -9 would.

    `on_refused` is called when a host refuses its plan.
    """

    registry: HostRegistry
    planner: Planner
    history: RunHistory
    sync: RunSync
    inboxes: Inboxes
    listener: HostListener
    publisher: ConfirmedPublisher
    calls: HostCalls
    dead_letters: DeadLetters
    on_refused: Callable[[], None]
    clock_watch: ClockWatch
    clock: Callable[[], float] = time.monotonic
    # The epoch of each host's worker.
    _epochs: dict[str, int] = field(default_factory=dict)
    _loops: list[GreenThread] = field(default_factory=list)
    _poked: Event = field(default_factory=Event)

    def start(self) -> None:
        """Begin with what is stored; raises DatabaseUnavailable."""
        for record in self.registry.load():
            host = record.host
            self.planner.load(host, record.plan_version, record.digest, record.carried)
            self.sync.add(host, record.runs_sequence, self.clock())
        self.publisher.start()
        self._loops = [
            eventlet.spawn(run_forever, self.listener.run, LISTEN_S),
            eventlet.spawn(run_forever, self._handle, 0.0),
            eventlet.spawn(run_forever, self._plan, 0.0),
            eventlet.spawn(run_forever, self.registry.save_changed, SAVE_S),
            eventlet.spawn(run_forever, self._delete_old, PURGE_S),
        ]

    def stop(self) -> None:
        """End all loops, and the connections."""
        for loop in self._loops:
            loop.kill()
        self.publisher.stop()

    def poke(self) -> None:
        """Look at once whether policies have changed."""
        if not self._poked.ready():
            self._poked.send()

    def on_subscribed(self, host: str) -> None:
        """Ask a host that is heard from now on for what was not heard."""
        self.sync.add(host, 0, self.clock())
        self.sync.request(host, self.clock())

    def _plan(self) -> None:
        with eventlet.Timeout(PLAN_S, exception=False):
            self._poked.wait()
        if self._poked.ready():
            self._poked = Event()
        # A plan is stored beside its host.
        self.registry.save_changed()
        self.planner.compile_if_due()
        if self.publisher.connected and self.listener.connected:
            self.planner.send_due()
            for host, sequence in list(self.sync.due(self.clock())):
                reached = self.calls.runs_since(host, sequence, PAGE)
                self.sync.note_asked(host, self.clock(), reached=reached)

    def _delete_old(self) -> None:
        self.history.delete_surplus(_rest)
        if not self.clock_watch.may_delete():
            return
        self.history.delete_old(_rest)
        for host in self.registry.forget_silent():
            self.planner.forget(host)
            self.sync.forget(host)
            self._epochs.pop(host, None)

    def _handle(self) -> None:
        self.inboxes.wait(WAIT_S)
        batch = self.inboxes.take(BATCH)
        try:
            read = [(each.host, self._read(each)) for each in batch]
            self._store([(host, message) for host, message in read if message is not None])
        finally:
            # Whatever became of them: unacknowledged, they would keep their hosts' next ones back.
            for received in batch:
                self.inboxes.note_handled(received)
        eventlet.sleep(0)

    def _read(self, received: Received) -> Message | None:
        try:
            return read(received, self.listener.reply_id)
        except UnreadableMessage as exc:
            self.dead_letters.add(received, exc.reason)
            return None

    def _store(self, messages: Sequence[tuple[str, Message]]) -> None:
        runs = [(host, each) for host, each in messages if isinstance(each, PolicyRun)]
        if runs:
            stored = _patiently(lambda: self._stored(runs))
            _patiently(lambda: self.history.record(runs))
            for host, run in runs:
                self.sync.note_run(host, run, stored[host].get(run.operation_id), self.clock())
                self.registry.note_runs(host, self.sync.sequence(host))
        for host, message in messages:
            if isinstance(message, ReportedPlan):
                self._note_report(host, message)
            elif isinstance(message, CallAnswer):
                self._note_answer(host, message)

    def _stored(self, runs: Sequence[tuple[str, PolicyRun]]) -> dict[str, dict[str, int]]:
        """Return the stored sequences of runs that seem to be repeated, by host and operation."""
        repeated: defaultdict[str, list[PolicyRun]] = defaultdict(list)
        for host, run in runs:
            if run.sequence <= self.sync.sequence(host):
                repeated[host].append(run)
        found = {host: self.history.stored(host, listed) for host, listed in repeated.items()}
        return {host: found.get(host, {}) for host, _ in runs}

    def _note_report(self, host: str, report: ReportedPlan) -> None:
        is_back = self._epochs.get(host) != report.epoch
        self._epochs[host] = report.epoch
        carried = Carried(report.plan_version, report.digest, report.clock_trusted)
        self.planner.on_report(host, carried, is_back=is_back)
        self.registry.note_report(host, carried)
        if is_back:
            self.sync.request(host, self.clock())

    def _note_answer(self, host: str, answer: CallAnswer) -> None:
        call = self.calls.answered(answer.call_id, host)
        if call is None:
            return
        if answer.error:
            log.warning(
                "host refused a call",
                extra={"host": host, "method": call.method, "error": answer.error},
            )
        if call.method == SET_PLAN and answer.error:
            self.on_refused()
        elif call.method == RUNS_SINCE:
            self._note_page(host, answer)

    def _note_page(self, host: str, answer: CallAnswer) -> None:
        if answer.error:
            self.sync.note_refused(host, self.clock())
            return
        try:
            page = answer.page()
        except UnreadableMessage as exc:
            log.warning("unreadable runs", extra={"host": host, "reason": exc.reason})
            self.sync.note_refused(host, self.clock())
            return
        if page.runs:
            _patiently(lambda: self.history.record([(host, run) for run in page.runs]))
        self.sync.note_page(host, page.runs, self.clock(), more=page.more)
        self.registry.note_runs(host, self.sync.sequence(host))
        if page.more:
            self.poke()


def _rest() -> None:
    eventlet.sleep(0.01)


def _patiently(work: Callable[[], T]) -> T:
    """Return what `work` returns; repeat it as long as the database is away."""
    backoff = Backoff(0.5, 5.0)
    while True:
        try:
            return work()
        except DatabaseUnavailable:
            eventlet.sleep(backoff.next_s())
