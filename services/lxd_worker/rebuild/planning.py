"""Another root for an instance: what is decided before, and how long the old one is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.instances.observation import is_meant
from services.lxd_worker.instances.parked_roots import ParkedRoot, names_for
from services.lxd_worker.journal.plan import AllocationPlan, Devices, RootSwapPlan
from services.lxd_worker.operations.planning import refuse_growth
from services.lxd_worker.ports import Journal, Lxd, ParkedRoots, RootOwner, WorkerClock
from shared.contracts.changes import ImageSource
from shared.contracts.errors import InvalidInput, LxdBusy, LxdRefused, TrashNotFound
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance
from shared.contracts.operations import Submission

log = logging.getLogger(__name__)

# What an instance was before a rebuild can be had again for so long.
KEEP_S = 24 * 3600


def planned_rebuild(
    admission: Admission, submission: Submission, instance: Instance, arrived: float, now: float
) -> AllocationPlan:
    """Return how the instance gets a new root; the caller holds the ledger's lock.

    For a day the host holds both. Raises ImageNotFound, InsufficientResources and InvalidInput.
    """
    image = submission.arguments.image or ImageSource()
    _demand_uuid(submission)
    source = admission.source(submission.project, image, instance.type)
    disk = instance.root_size or 0
    allotted = admission.ledger.allotted(arrived)
    refuse_growth(admission, submission.project, allotted, Capacity(cpu=0, memory=0, disk=disk))
    beside, trash = names_for(submission.operation_id, submission.instance)
    swap = RootSwapPlan(
        incoming=submission.operation_id,
        beside=beside,
        trash=trash,
        until=int(now) + KEEP_S,
        disk=disk,
    )
    return AllocationPlan(source=source, devices=_ports(instance), swap=swap)


def planned_revert(
    lxd: Lxd, submission: Submission, instance: Instance, now: float
) -> AllocationPlan:
    """Return how the instance gets back the root that it had; raises TrashNotFound.

    The root that it has now becomes what the next revert brings back.
    """
    _demand_uuid(submission)
    kept = instance.trash
    found = lxd.glance(submission.project, kept.name) if kept else None
    is_ours = found and is_meant(found, submission.uuid, None) and found.aside == found.name
    if kept is None or found is None or not is_ours:
        raise TrashNotFound(submission.instance)
    _, trash = names_for(submission.operation_id, submission.instance)
    swap = RootSwapPlan(incoming=found.root, beside=kept.name, trash=trash, until=int(now) + KEEP_S)
    return AllocationPlan(source={}, devices=_ports(instance), swap=swap)


def _ports(instance: Instance) -> Devices:
    """Return the ports that lead to it: while neither root has them nobody else may get them."""
    return {
        proxy.device: {
            **proxy.options,
            "type": "proxy",
            "listen": proxy.listen,
            "connect": proxy.connect,
        }
        for proxy in instance.proxies
    }


def _demand_uuid(submission: Submission) -> None:
    if not submission.uuid:
        raise InvalidInput("instance", "one that has been started: LXD has given it no uuid yet")


@dataclass(frozen=True, slots=True)
class TrashCollector:
    """Deletes the roots whose time is over, and those that a later rebuild has replaced."""

    lxd: Lxd
    journal: Journal
    clock: WorkerClock

    def collect(self) -> None:
        """Look through them once; raises LxdUnavailable and DatabaseUnavailable."""
        # Before and after: an operation may end while LXD is read, and none is as quick as that.
        before = self._busy()
        found = self.lxd.asides()
        busy = before | self._busy()
        now = self.clock.unix()
        for owner in _without_trash(found, now):
            if (owner.project, owner.name) not in busy:
                self._forget_trash(owner)
        for aside in found.aside:
            if (aside.project, aside.name) not in busy and _is_over(aside, found.owners, now):
                self._discard(aside)

    def _busy(self) -> set[tuple[str, str]]:
        """Return what operations hold now, by project and name."""
        held = set()
        for entry in self.journal.unfinished():
            swap = entry.plan.swap if entry.plan else None
            beside = (swap.beside, swap.trash) if swap else ()
            held |= {
                (entry.operation.project, name) for name in (entry.operation.instance, *beside)
            }
        return held

    def _forget_trash(self, owner: RootOwner) -> None:
        what = {"instance": owner.name, "project": owner.project, "uuid": owner.uuid}
        try:
            self.lxd.forget_trash(owner.project, owner.name)
        except (LxdRefused, LxdBusy) as exc:
            log.warning("note of trash not taken away", extra={**what, "reason": str(exc)})

    def _discard(self, aside: ParkedRoot) -> None:
        what = {"instance": aside.name, "project": aside.project, "uuid": aside.uuid}
        try:
            self.lxd.discard(aside)
        except (LxdRefused, LxdBusy) as exc:
            log.warning("trash not deleted", extra={**what, "reason": str(exc)})
        else:
            log.info("trash deleted", extra=what)


def _without_trash(found: ParkedRoots, now: float) -> list[RootOwner]:
    """Return the instances whose trash is to go, or has gone."""
    there = {(one.project, one.name): one.until for one in found.aside}
    return [
        owner
        for owner in found.owners
        if owner.trash and there.get((owner.project, owner.trash.name), 0) < now
    ]


def _is_over(aside: ParkedRoot, owners: Iterable[RootOwner], now: float) -> bool:
    """Whether nobody needs a root any more: its day is over, or there is a newer trash.

    One without an owner is kept for its day: that may be all there is.
    """
    owned = [
        owner for owner in owners if (owner.project, owner.uuid) == (aside.project, aside.uuid)
    ]
    is_replaced = any(owner.trash and owner.trash.name != aside.name for owner in owned)
    return 0 < aside.until < now or is_replaced
