"""What `/readyz` and `/healthz` ask."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.bus.connections import BusConnections
from services.gateway.persistence.database import Database, answers


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Whether the gateway reaches what it needs."""

    bus: BusConnections
    database: Database

    @property
    def broker_connected(self) -> bool:
        """Whether calls can be made now, unless the broker is blocked."""
        return self.bus.connected

    @property
    def broker_blocked(self) -> str:
        """Why the broker takes no messages now; empty: it does."""
        return self.bus.blocked

    async def database_answers(self) -> bool:
        """Whether the database can be written."""
        return await answers(self.database)
