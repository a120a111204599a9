"""Stores which host has which plan. Only the copy with the lease writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa

from services.snapshots.hosts.record import HostRecord
from services.snapshots.persistence.database import Database
from services.snapshots.persistence.lease import PlanLease, generation
from services.snapshots.persistence.policy_store import PolicyTable
from services.snapshots.persistence.tables import counters, hosts, runs
from shared.contracts.policies import Policy

# What saving a host leaves as it is.
_ISSUED = {"host", "plan_version", "digest"}

_GIVE = (
    sa.update(hosts)
    .where(hosts.c.host == sa.bindparam("of"))
    .values(plan_version=sa.bindparam("version"), digest=sa.bindparam("plan"))
)


class SqlPlans:
    """Reads and writes the plans' versions; every method raises DatabaseUnavailable.

    Those that write raise LeaseLost if another copy has the lease.
    """

    def __init__(self, database: Database, lease: PlanLease) -> None:
        self._database = database
        self._lease = lease

    def generation(self) -> int:
        """Return how often policies were changed; 0: this database never had any."""
        return self._database.run(generation)

    def policies(self) -> tuple[int, list[Policy]]:
        """Return all policies, and how often policies were changed before."""
        return self._database.run(
            lambda connection: (generation(connection), PolicyTable(connection).all())
        )

    def hosts(self) -> list[HostRecord]:
        """Return all hosts, by name."""
        rows = sa.select(hosts).order_by(hosts.c.host)
        return self._database.run(
            lambda connection: [HostRecord(**row) for row in connection.execute(rows).mappings()]
        )

    def save(self, rows: Iterable[HostRecord]) -> None:
        """Insert or replace hosts, except the plans that they are to have."""
        values = [row.values for row in rows]
        if values:
            self._database.run(lambda connection: self._save(connection, values))

    def forget(self, names: Collection[str]) -> None:
        """Delete hosts and their runs."""
        self._database.run(lambda connection: self._forget(connection, names))

    def issue(
        self, digests: Mapping[str, str], above: Mapping[str, int], least: int
    ) -> dict[str, int]:
        """Give new plans of hosts, by their digests, the next versions; return these.

        Each is above all earlier versions of this database, above `least`, and above that of its
        host in `above`. They are stored before anybody sends them.
        """
        return self._database.run(lambda connection: self._issue(connection, digests, above, least))

    def _issue(
        self,
        connection: sa.Connection,
        digests: Mapping[str, str],
        above: Mapping[str, int],
        least: int,
    ) -> dict[str, int]:
        self._lease.require(connection)
        counter = counters.c.name == "plan"
        last = int(connection.execute(sa.select(counters.c.value).where(counter)).scalar_one())
        first = max(last + 1, least)
        versions = {
            host: max(first + place, above.get(host, 0) + 1) for place, host in enumerate(digests)
        }
        newest = first + len(digests) - 1
        connection.execute(sa.update(counters).where(counter).values(value=newest))
        given = [
            {"of": host, "version": version, "plan": digests[host]}
            for host, version in versions.items()
        ]
        connection.execute(_GIVE, given)
        return versions

    def _save(self, connection: sa.Connection, values: list[dict[str, object]]) -> None:
        self._lease.require(connection)
        insert = self._database.insert(hosts)
        replaced = {name: insert.excluded[name] for name in values[0] if name not in _ISSUED}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["host"], set_=replaced), values
        )

    def _forget(self, connection: sa.Connection, names: Collection[str]) -> None:
        self._lease.require(connection)
        for table in (hosts, runs):
            connection.execute(sa.delete(table).where(table.c.host.in_(names)))
