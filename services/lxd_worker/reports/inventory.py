"""Reports the instances of this LXD, as one numbered sequence of events.

Requests are collected and then served one by one in a single greenthread, so the order on the wire
is that of the numbers. Several events about one instance that arrive together become one reading,
and what an operation reads at its end is not read again for LXD's event about it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from services.lxd_worker.instances.description import UNBOUNDED
from services.lxd_worker.instances.lifecycle_events import (
    AffectedInstance,
    affected_instances,
    affects_many,
)
from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.omissions import Omission
from services.lxd_worker.protocols import InstanceAnswer, Lxd, ObservedInstance, Signal
from services.lxd_worker.reports.held_events import HeldEvents, Place
from services.lxd_worker.reports.publishing import FailureLog, ReportContext, RetryTimer
from services.lxd_worker.transitions.rebuild import SWAP_KINDS
from services.lxd_worker.transitions.steps import Step
from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.errors import BrokerUnavailable, LxdUnavailable
from shared.contracts.events import Event, InstanceChanged, InstanceRemoved, Inventory
from shared.contracts.instances import Instance
from shared.contracts.sanitizer import share_out
from shared.lxd.models import LifecycleEvent

log = logging.getLogger(__name__)

# Of an inventory in a message: 10,000 ordinary instances have 7 MB, and readers accept 16.
MOST_BYTES = 12 * 2**20
# How often, and after how long, all is read again while a name passes from root to root.
_TRIES, _TRY_AGAIN_S = 50, 0.1
# The outcome of an operation says the same of its instance, and somebody waits for that.
AFTER_OUTCOME_S = 0.02


class InventoryReport:
    """Numbers and sends inventories and changes.

    What cannot be sent is dropped; the gap in the numbers, and the inventory that follows every
    reconnection, make up for it. What LXD does not answer is asked again.
    """

    def __init__(
        self,
        context: ReportContext,
        lxd: Lxd,
        journal: Journal,
        signal: Signal,
        listening: Callable[[], bool],
    ) -> None:
        self._context = context
        self._lxd = lxd
        self._journal = journal
        self._signal = signal
        self._listening = listening
        self._busy = False
        self._all_requested = False
        self._requested: dict[Place, AffectedInstance] = {}
        self._held = HeldEvents(context.later, self._request, self._answer)
        # Events that an operation's reading has answered.
        self._answered: dict[Place, tuple[AffectedInstance, ObservedInstance]] = {}
        # What LXD has not answered; an instance that it never answers for must not delay others.
        self._all_unread = False
        self._unread: dict[Place, AffectedInstance] = {}
        self._retry = RetryTimer(context.later, self._request_unread)
        self._failures = FailureLog(log, "inventory not reported")
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """The number of the last event that was sent or lost."""
        return self._sequence

    def cached_instances(self) -> Mapping[tuple[str, str], Instance] | None:
        """Return what was read last, if every event so far has been followed up."""
        behind = (
            self._all_requested
            or self._requested
            or self._held.any_held
            or self._busy
            or self._lacks
        )
        return self._lxd.cached_instances() if self._listening() and not behind else None

    def request_all(self) -> None:
        """Have the whole inventory sent soon."""
        self._all_requested = True
        self._signal()

    def request_instance(self, project: str, name: str) -> None:
        """Have one instance sent soon, unabridged even if the inventory had no room for that."""
        self._request(AffectedInstance(project, name, ""))

    def expect_reading(self, project: str, name: str, step: Step) -> None:
        """See `InstanceReports.expect_reading`."""
        self._held.expect((project, name), step)

    def cancel_reading(self, project: str, name: str) -> None:
        """See `InstanceReports.cancel_reading`."""
        self._held.cancel((project, name))

    def read(self, project: str, name: str, *, is_done: bool) -> InstanceAnswer:
        """See `InstanceReports.read`."""
        reported = None
        self._held.begin_reading((project, name), is_done=is_done)
        try:
            reading = self._lxd.read(project, name)
            reported = reading.reported
        finally:
            self._held.end_reading((project, name), reported)
        return reading

    def on_event(self, event: LifecycleEvent) -> None:
        """Have sent soon what an event of LXD's may have changed."""
        if affects_many(event):
            self.request_all()
        for one in affected_instances(event):
            self._held.on_event(one)

    def publish_requested(self) -> None:
        """Send what was requested until nothing is left, or LXD does not answer."""
        self._busy = True
        try:
            while self._all_requested or self._requested or self._answered:
                self._try_next()
        finally:
            self._busy = False
            if self._lacks:
                self._retry.failed()
            else:
                self._retry.succeeded()

    @property
    def _lacks(self) -> bool:
        return self._all_unread or bool(self._unread)

    def _try_next(self) -> None:
        try:
            self._publish_next()
            self._failures.succeeded()
        except (LxdUnavailable, BrokerUnavailable) as exc:
            self._failures.failed(exc)

    def _publish_next(self) -> None:
        # What is affected after the inventory is read must be read again: hence this order.
        if self._all_requested:
            self._all_requested = False
            self._requested.clear()
            self._answered.clear()
            self._held.clear()
            self._publish_inventory()
        elif self._answered:
            self._publish_observed(*self._answered.pop(next(iter(self._answered))))
        else:
            self._publish_change(self._requested.pop(next(iter(self._requested))))

    def _answer(self, affected: AffectedInstance, reported: ObservedInstance) -> None:
        self._answered[affected.project, affected.name] = (affected, reported)
        self._context.later(AFTER_OUTCOME_S, self._signal)

    def _request(self, affected: AffectedInstance) -> None:
        self._requested[affected.project, affected.name] = affected
        self._signal()

    def _request_unread(self) -> None:
        if not self._lacks:
            return
        self._all_requested |= self._all_unread
        self._requested = self._unread | self._requested
        self._all_unread, self._unread = False, {}
        self._signal()

    def _publish_inventory(self) -> None:
        self._all_unread = True
        instances = self._fitting(self._read_all())
        self._all_unread, self._unread = False, {}
        self._send(
            Inventory(
                epoch=self._context.epoch,
                sequence=self._sequence + 1,
                at=self._context.clock.now(),
                instances=instances,
            )
        )

    def _read_all(self) -> list[Instance]:
        """Return all instances; one that is losing its name to another root has it again soon."""
        for _ in range(_TRIES):
            instances = self._lxd.instances()
            if not self._swapping() - {(one.project, one.name) for one in instances}:
                break
            self._context.clock.sleep(_TRY_AGAIN_S)
        return instances

    def _swapping(self) -> set[tuple[str, str]]:
        """Return the instances whose name passes from one root to another now."""
        operations = [entry.operation for entry in self._journal.unfinished()]
        return {(one.project, one.instance) for one in operations if one.kind in SWAP_KINDS}

    def _fitting(self, instances: list[Instance]) -> list[Instance]:
        """Return as many of the instances as one message holds, none larger than its share."""
        in_order = sorted(instances, key=lambda one: (one.project, one.name))
        if left_out := in_order[MOST_INSTANCES:]:
            self._context.omit(
                Omission.INSTANCE, "inventory", f"{len(left_out)} instances too many"
            )
        shared = share_out(in_order[:MOST_INSTANCES], MOST_BYTES, UNBOUNDED)
        for instance, cut in shared:
            if cut:
                subject = f"{instance.project}/{instance.name}"
                self._context.omit(Omission.FIELDS, subject, ", ".join(cut))
        return [instance for instance, _ in shared]

    def _publish_change(self, affected: AffectedInstance) -> None:
        place = (affected.project, affected.name)
        self._unread[place] = affected
        found = self._lxd.instance(*place)
        self._unread.pop(place, None)
        self._publish_observed(affected, found)

    def _publish_observed(self, affected: AffectedInstance, found: ObservedInstance) -> None:
        # The root that gets the name is reported then.
        place = (affected.project, affected.name)
        if found.instance is not None or place not in self._swapping():
            self._send(self._change(affected, found))

    def _change(self, affected: AffectedInstance, found: ObservedInstance) -> Event:
        sequence, now = self._sequence + 1, self._context.clock.now()
        if found.instance is None:
            return InstanceRemoved(
                epoch=self._context.epoch,
                sequence=sequence,
                at=now,
                action=affected.action,
                name=affected.name,
                project=affected.project,
                revision=found.revision,
            )
        return InstanceChanged(
            epoch=self._context.epoch,
            sequence=sequence,
            at=now,
            action=affected.action,
            instance=found.instance,
        )

    def _send(self, event: Event) -> None:
        try:
            self._context.publish(event)
        finally:
            # Only now: a heartbeat must not name an event that is not on the wire yet.
            self._sequence += 1
