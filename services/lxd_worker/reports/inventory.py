"""Telling the fleet what this LXD holds, in one numbered row of events.

Wishes are collected and then fulfilled one by one in a single thread, so that the order on the wire
is the order of the numbers. Several events of one instance that arrive together become one reading.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from services.lxd_worker.instances.description import UNBOUNDED
from services.lxd_worker.instances.lifecycle_events import AffectedInstance, touched, touches_many
from services.lxd_worker.ports import (
    CallLater,
    Journal,
    Lxd,
    Omission,
    Omit,
    Publish,
    Signal,
    WorkerClock,
)
from services.lxd_worker.reports.retry_timer import RetryTimer
from services.lxd_worker.transitions.rebuild import KINDS
from shared.contracts.bounds import MOST_INSTANCES
from shared.contracts.errors import BrokerUnavailable, LxdUnavailable
from shared.contracts.events import Event, InstanceChanged, InstanceRemoved, Inventory
from shared.contracts.fitting import share_out
from shared.contracts.instances import Instance
from shared.lxd.models import LifecycleEvent

log = logging.getLogger(__name__)

# Of an inventory as it is sent: 10,000 ordinary instances have 7 MB, and readers take 16.
MOST_BYTES = 12 * 2**20
# How often, and after how long, all is read again while a name passes from root to root.
_LOOKS, _LOOK_AGAIN_S = 50, 0.1


class InventoryReport:
    """Numbers and sends inventories and changes.

    What cannot be sent is dropped; the gap in the numbers, and the inventory that follows every
    reconnection, make up for it. What LXD does not tell is asked for again.
    """

    def __init__(
        self,
        epoch: int,
        lxd: Lxd,
        publish: Publish,
        clock: WorkerClock,
        wanted: Signal,
        listening: Callable[[], bool],
        omit: Omit,
        later: CallLater,
        journal: Journal,
    ) -> None:
        self._journal = journal
        self._omit = omit
        self._epoch = epoch
        self._lxd = lxd
        self._publish = publish
        self._clock = clock
        self._wanted = wanted
        self._listening = listening
        self._busy = False
        self._everything = False
        self._touched: dict[tuple[str, str], AffectedInstance] = {}
        # What LXD has not told; an instance that it never tells shall hold up no other.
        self._unread: dict[tuple[str, str], AffectedInstance] = {}
        self._everything_unread = False
        self._retry = RetryTimer(later, self._read_again)
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """The number of the last event that was sent or lost."""
        return self._sequence

    def known(self) -> Mapping[tuple[str, str], Instance] | None:
        """See `ports.Known`: what was read last, when every event heard has been followed up."""
        behind = self._everything or self._touched or self._busy or self._lacks
        return self._lxd.remembered() if self._listening() and not behind else None

    @property
    def _lacks(self) -> bool:
        return self._everything_unread or bool(self._unread)

    def want_everything(self) -> None:
        """Have the whole inventory sent soon."""
        self._everything = True
        self._wanted()

    def want(self, project: str, name: str) -> None:
        """Have one instance sent soon, whole also where the inventory had no room for all of it."""
        self._touched[project, name] = AffectedInstance(project, name, "")
        self._wanted()

    def heard(self, event: LifecycleEvent) -> None:
        """Have sent soon what an event of LXD's may have changed."""
        if touches_many(event):
            self.want_everything()
        for one in touched(event):
            self._touched[one.project, one.name] = one
            self._wanted()

    def fulfil(self) -> None:
        """Send what was asked for until nothing is left to send, or LXD does not tell it now."""
        self._busy = True
        try:
            while self._everything or self._touched:
                self._try_next()
        finally:
            self._busy = False
            if self._lacks:
                self._retry.failed()
            else:
                self._retry.worked()

    def _try_next(self) -> None:
        try:
            self._send_next()
        except (LxdUnavailable, BrokerUnavailable) as exc:
            log.warning("inventory not reported", extra={"error": str(exc)})

    def _send_next(self) -> None:
        # What is touched after the inventory is read must be looked at again: hence this order.
        if self._everything:
            self._everything = False
            self._touched.clear()
            self._send_inventory()
        else:
            self._send_change(self._touched.pop(next(iter(self._touched))))

    def _read_again(self) -> None:
        if not self._lacks:
            return
        self._everything |= self._everything_unread
        self._touched = self._unread | self._touched
        self._everything_unread, self._unread = False, {}
        self._wanted()

    def _send_inventory(self) -> None:
        self._everything_unread = True
        instances = self._fitting(self._whole())
        self._everything_unread, self._unread = False, {}
        self._send(
            Inventory(
                epoch=self._epoch,
                sequence=self._sequence + 1,
                at=self._clock.now(),
                instances=instances,
            )
        )

    def _whole(self) -> list[Instance]:
        """Return all instances; one that loses its name to another root has it again soon."""
        for _ in range(_LOOKS):
            instances = self._lxd.instances()
            if not self._between() - {(one.project, one.name) for one in instances}:
                break
            self._clock.sleep(_LOOK_AGAIN_S)
        return instances

    def _between(self) -> set[tuple[str, str]]:
        """Return the instances whose name passes from one root to another now."""
        operations = [entry.operation for entry in self._journal.unfinished()]
        return {(one.project, one.instance) for one in operations if one.kind in KINDS}

    def _fitting(self, instances: list[Instance]) -> list[Instance]:
        """Return as many of the instances as one message takes, none larger than its share."""
        in_order = sorted(instances, key=lambda one: (one.project, one.name))
        if left_out := in_order[MOST_INSTANCES:]:
            self._omit(Omission.INSTANCE, "inventory", f"{len(left_out)} instances too many")
        shared = share_out(in_order[:MOST_INSTANCES], MOST_BYTES, UNBOUNDED)
        for instance, cut in shared:
            if cut:
                subject = f"{instance.project}/{instance.name}"
                self._omit(Omission.FIELDS, subject, ", ".join(cut))
        return [instance for instance, _ in shared]

    def _send_change(self, change: AffectedInstance) -> None:
        self._unread[change.project, change.name] = change
        reading = self._lxd.instance(change.project, change.name)
        self._unread.pop((change.project, change.name), None)
        if reading.instance is None and (change.project, change.name) in self._between():
            # What gets the name is told then.
            return
        number = self._sequence + 1
        now = self._clock.now()
        event: Event
        if reading.instance is None:
            event = InstanceRemoved(
                epoch=self._epoch,
                sequence=number,
                at=now,
                action=change.action,
                name=change.name,
                project=change.project,
                revision=reading.revision,
            )
        else:
            event = InstanceChanged(
                epoch=self._epoch,
                sequence=number,
                at=now,
                action=change.action,
                instance=reading.instance,
            )
        self._send(event)

    def _send(self, event: Event) -> None:
        try:
            self._publish(event)
        finally:
            # Only now: a heartbeat must not name an event that is not on the wire yet.
            self._sequence += 1
