"""The lease by which exactly one copy of the service makes plans and sends them.

It is a row with its owner and end. The time is the database's where copies may be on different
machines; with SQLite they are on one.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from services.snapshots.persistence.database import Database
from services.snapshots.persistence.tables import counters, lease
from shared.contracts.errors import TemporaryError

# A lease that ends later than any copy would set it is left from before the clock was put back.
_LATEST = 10.0


class LeaseLost(TemporaryError):
    """Another copy of the service has the lease; never told to another service."""


class PlanLease:
    """The lease of one copy, whose random name is `owner`."""

    def __init__(self, database: Database, owner: str, ttl_s: float) -> None:
        self._database = database
        self._owner = owner
        self.ttl_s = ttl_s

    def hold(self) -> bool:
        """Take or renew the lease; return whether it is ours. Raises DatabaseUnavailable."""
        return self._database.run(self._hold)

    def release(self) -> None:
        """Let another copy have it at once; raises DatabaseUnavailable."""
        ours = sa.update(lease).where(lease.c.owner == self._owner).values(until=0.0)
        self._database.run(lambda connection: connection.execute(ours))

    def require(self, connection: sa.Connection) -> None:
        """Raise LeaseLost unless it is ours; it stays so until the transaction's end."""
        held = sa.select(lease.c.until).where(lease.c.owner == self._owner).with_for_update()
        until = connection.execute(held).scalar()
        if until is None or until < _now(connection):
            raise LeaseLost

    def _hold(self, connection: sa.Connection) -> bool:
        now = _now(connection)
        free = sa.or_(
            lease.c.owner == self._owner,
            lease.c.until < now,
            lease.c.until > now + self.ttl_s * _LATEST,
        )
        taken = sa.update(lease).where(free).values(owner=self._owner, until=now + self.ttl_s)
        return connection.execute(taken).rowcount == 1


def generation(connection: sa.Connection) -> int:
    """Return how often policies were changed; 0: this database never had any."""
    changes = sa.select(counters.c.value).where(counters.c.name == "policies")
    return int(connection.execute(changes).scalar_one())


def _now(connection: sa.Connection) -> float:
    if connection.dialect.name == "sqlite":
        return time.time()
    clock = sa.func.extract("epoch", sa.func.clock_timestamp())
    return float(connection.execute(sa.select(clock)).scalar_one())
