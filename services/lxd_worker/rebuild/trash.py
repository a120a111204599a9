"""Deletes the roots that rebuilds have left behind, once they can no longer be reverted to."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.instances.parked_roots import ParkedRoot
from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.protocols import Lxd, ParkedRoots, RootOwner
from shared.contracts.errors import LxdBusy, LxdRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrashCollector:
    """Deletes the roots whose time is over, and those that a later rebuild has replaced."""

    lxd: Lxd
    journal: Journal
    clock: WorkerClock

    def collect(self) -> None:
        """Check all of them once; raises LxdUnavailable and DatabaseUnavailable."""
        # Before and after: an operation may end while LXD is read, but none begins and ends then.
        before = self._busy()
        parked = self.lxd.parked_roots()
        busy = before | self._busy()
        now = self.clock.unix()
        for owner in _with_lost_trash(parked, now):
            if (owner.project, owner.name) not in busy:
                self._forget_trash(owner)
        for root in parked.roots:
            if (root.project, root.name) not in busy and _is_expired(root, parked.owners, now):
                self._delete(root)

    def _busy(self) -> set[tuple[str, str]]:
        """Return what operations hold now, by project and name."""
        held = set()
        for entry in self.journal.unfinished():
            roots = (entry.swap.beside, entry.swap.trash) if entry.swap else ()
            names = (entry.operation.instance, *roots)
            held |= {(entry.operation.project, name) for name in names}
        return held

    def _forget_trash(self, owner: RootOwner) -> None:
        names = {"instance": owner.name, "project": owner.project, "uuid": owner.uuid}
        try:
            self.lxd.forget_trash(owner.project, owner.name)
        except (LxdRefused, LxdBusy) as exc:
            log.warning("trash mark not removed", extra={**names, "reason": str(exc)})

    def _delete(self, root: ParkedRoot) -> None:
        names = {"instance": root.name, "project": root.project, "uuid": root.uuid}
        try:
            self.lxd.delete_parked(root)
        except (LxdRefused, LxdBusy) as exc:
            log.warning("trash not deleted", extra={**names, "reason": str(exc)})
        else:
            log.info("trash deleted", extra=names)


def _with_lost_trash(parked: ParkedRoots, now: float) -> list[RootOwner]:
    """Return the instances whose trash has expired, or is gone."""
    until = {(one.project, one.name): one.until for one in parked.roots}
    return [
        owner
        for owner in parked.owners
        if owner.trash and until.get((owner.project, owner.trash.name), 0) < now
    ]


def _is_expired(root: ParkedRoot, owners: Iterable[RootOwner], now: float) -> bool:
    """Whether nobody needs a root any more: its day is over, or there is newer trash.

    One without an owner is kept for its day: it may be all that is left.
    """
    own = [owner for owner in owners if (owner.project, owner.uuid) == (root.project, root.uuid)]
    is_replaced = any(owner.trash and owner.trash.name != root.name for owner in own)
    return 0 < root.until < now or is_replaced
