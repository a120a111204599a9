"""Hosts and their last inventories in the database.

Of what a host has told, only what differs from what was saved last is written: a row for the host,
and one for each instance that has changed.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from services.gateway.fleet.host_state import StoredHost
from services.gateway.persistence.database import Database
from services.gateway.persistence.tables import hosts, instances, snapshot_notes
from shared.contracts.codec import decode, encode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.instances import Instance

log = logging.getLogger(__name__)

# A host's instances by project and name, each with the time at which it changed.
SavedInstances = dict[tuple[str, str], tuple[Instance, float | None]]

_copies = msgspec.json.Decoder(tuple[str, ...])


class SqlHostStore:
    """Implements `ports.HostStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # As this gateway has read or written them last; it shares them with the view.
        self._kept: dict[str, SavedInstances] = {}

    async def load(self) -> list[StoredHost]:
        """Return every host that was saved and not dropped."""
        loaded = await self._database.run(_load)
        self._kept = {host.host: _kept(host) for host in loaded}
        return loaded

    async def save(self, known: Sequence[StoredHost]) -> None:
        """Keep the hosts as they are now; a pin that is there already stays."""
        now = {host.host: _kept(host) for host in known}
        await self._database.run(lambda connection: self._save(connection, known, now))
        self._kept |= now

    async def drop(self, host: str) -> None:
        """Keep nothing of the host but its operations."""

        def work(connection: sa.Connection) -> None:
            for table in (hosts, instances, snapshot_notes):
                connection.execute(sa.delete(table).where(table.c.host == host))

        await self._database.run(work)
        self._kept.pop(host, None)

    def _save(
        self, connection: sa.Connection, known: Sequence[StoredHost], now: dict[str, SavedInstances]
    ) -> None:
        if not known:
            return
        # Another gateway may have dropped a host that still speaks to this one.
        there = set(connection.scalars(sa.select(hosts.c.host).where(hosts.c.host.in_(now))))
        connection.execute(self._upsert_hosts(), [_row(host) for host in known])
        for host, kept in now.items():
            before = self._kept.get(host, {}) if host in there else {}
            self._save_instances(connection, host, before, kept)

    def _upsert_hosts(self) -> sa.Executable:
        insert = self._database.insert(hosts)
        new = insert.excluded
        pin = sa.case((hosts.c.fingerprint == "", new.fingerprint), else_=hosts.c.fingerprint)
        written = ("epoch", "last_seen", "inventory_at", "copies", "exchange")
        return insert.on_conflict_do_update(
            index_elements=[hosts.c.host],
            set_={"fingerprint": pin, **{column: new[column] for column in written}},
        )

    def _save_instances(
        self, connection: sa.Connection, host: str, before: SavedInstances, now: SavedInstances
    ) -> None:
        changed = [place for place, one in now.items() if one != before.get(place)]
        if changed:
            insert = self._database.insert(instances)
            upsert = insert.on_conflict_do_update(
                index_elements=["host", "project", "name"],
                set_={
                    "record": insert.excluded.record,
                    "changed_at": insert.excluded.changed_at,
                },
            )
            connection.execute(upsert, [_instance_row(host, *now[place]) for place in changed])
        if gone := [place for place in before if place not in now]:
            delete = sa.delete(instances).where(
                instances.c.host == host,
                instances.c.project == sa.bindparam("of_project"),
                instances.c.name == sa.bindparam("of_name"),
            )
            keys = ({"of_project": project, "of_name": name} for project, name in gone)
            connection.execute(delete, list(keys))


def _kept(host: StoredHost) -> SavedInstances:
    return {
        (instance.project, instance.name): (instance, host.changes.get(instance.uuid))
        for instance in host.instances
    }


def _row(stored: StoredHost) -> dict[str, object]:
    return {
        "host": stored.host,
        "fingerprint": stored.fingerprint,
        "epoch": stored.epoch,
        "first_seen": stored.first_seen,
        "last_seen": stored.last_seen,
        "inventory_at": stored.inventory_at,
        "copies": msgspec.json.encode(stored.copies),
        "exchange": stored.exchange,
    }


def _instance_row(host: str, instance: Instance, changed_at: float | None) -> dict[str, object]:
    return {
        "host": host,
        "project": instance.project,
        "name": instance.name,
        "record": encode(instance),
        "changed_at": changed_at,
    }


def _load(connection: sa.Connection) -> list[StoredHost]:
    told: defaultdict[str, list[tuple[Instance, float | None]]] = defaultdict(list)
    for row in connection.execute(sa.select(instances)):
        if instance := _read_instance(row.host, row.record):
            told[row.host].append((instance, row.changed_at))
    return [_stored(row, told[row.host]) for row in connection.execute(sa.select(hosts))]


def _read_instance(host: str, record: bytes) -> Instance | None:
    try:
        return decode(Instance, record)
    except UnreadableMessage as exc:
        # Another release wrote it, or had other bounds; the host itself will tell anew.
        log.warning("kept instance not read", extra={"host": host, "reason": exc.reason})
        return None


def _read_copies(host: str, copies: bytes | None) -> tuple[str, ...]:
    try:
        return _copies.decode(copies) if copies else ()
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        log.warning("kept copies not read", extra={"host": host, "reason": str(exc)})
        return ()


def _stored(
    row: sa.Row[tuple[object, ...]], told: Sequence[tuple[Instance, float | None]]
) -> StoredHost:
    return StoredHost(
        host=row.host,
        fingerprint=row.fingerprint,
        epoch=row.epoch,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        instances=tuple(instance for instance, _ in told),
        inventory_at=row.inventory_at,
        changes={instance.uuid: at for instance, at in told if at is not None},
        copies=_read_copies(row.host, row.copies),
        exchange=row.exchange,
    )
