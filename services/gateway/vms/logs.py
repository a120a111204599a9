"""What LXD has written about an instance's last start, as its host tells it."""

from __future__ import annotations

from services.gateway.fleet.view import FleetView
from services.gateway.ports import Target
from shared.contracts.worker_api import InstanceLog, LxdWorker


class LogService:
    """Implements `ports.Logs`."""

    def __init__(self, fleet: FleetView, worker: LxdWorker) -> None:
        self._fleet = fleet
        self._worker = worker

    async def of(self, target: Target) -> InstanceLog:
        """Return the end of the log; see `ports.Logs`."""
        if refusal := self._fleet.refusal(target.host):
            raise refusal
        return await self._worker.instance_log(*target)
