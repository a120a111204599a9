"""Keeps the uuids of new instances for the hosts that gateways told to create them.

The gateway that submits a creation knows so at once. The others learn it here, from the database
that they share: a host's own word does not count, for it may have been asked first, have refused,
and claim the uuid that it heard of.
"""

from __future__ import annotations

from services.gateway.clock import Clock
from services.gateway.fleet.view import FleetView
from services.gateway.operations.store import OperationStore

# Creations that have ended are read so long after their request; most take seconds.
RECENT_S = 600.0


class Reservations:
    """Takes the creations that gateways have submitted, each once as it goes on and as it ended."""

    def __init__(self, fleet: FleetView, store: OperationStore, clock: Clock) -> None:
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._taken: set[tuple[str, str, bool]] = set()

    async def refresh(self) -> None:
        """Take what is new; raise DatabaseUnavailable."""
        submitted = await self._store.creations(self._clock.wall() - RECENT_S)
        taken = set()
        for operation in submitted:
            news = (operation.operation_id, operation.host, operation.final)
            taken.add(news)
            if news not in self._taken:
                self._fleet.note_creation(operation)
        self._taken = taken
