"""The checks of `/readyz` and `/healthz`."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.bus.connections import BusConnections
from services.gateway.persistence.database import Database, answers


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Whether the broker and the database are available."""

    bus: BusConnections
    database: Database

    @property
    def broker_connected(self) -> bool:
        """Whether calls can be made, unless the broker is blocked."""
        return self.bus.connected

    @property
    def broker_blocked(self) -> str:
        """Why the broker is blocked; empty: it is not."""
        return self.bus.blocked

    async def database_answers(self) -> bool:
        """Whether the database is writable."""
        return await answers(self.database)
