"""An instance's snapshots: what its host lists, with the descriptions that are kept here."""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.fleet.view import FleetView
from services.gateway.ports import SnapshotNotes, Target
from services.gateway.vms.snapshots import DescribedSnapshot, described
from shared.contracts.worker_api import LxdWorker


class SnapshotService:
    """Implements `ports.Snapshots`."""

    def __init__(self, fleet: FleetView, worker: LxdWorker, notes: SnapshotNotes) -> None:
        self._fleet = fleet
        self._worker = worker
        self._notes = notes

    async def list(self, target: Target) -> Sequence[DescribedSnapshot]:
        """Return the snapshots, oldest first; see `ports.Snapshots`."""
        if refusal := self._fleet.refusal(target.host):
            raise refusal
        host, project, name, uuid = target
        listed = await self._worker.snapshots(host, project, name, uuid)
        return described(listed.snapshots, await self._notes.of(host, uuid))
