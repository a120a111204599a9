"""Stores hosts and their last inventories.

Only differences from the last save are written: the row of the host, and those of changed
instances.
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

# A host's instances by project and name, each with the time of its last change.
SavedInstances = dict[tuple[str, str], tuple[Instance, float | None]]

_uuids_decoder = msgspec.json.Decoder(tuple[str, ...])


class SqlHostStore:
    """Implements `HostStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # As this gateway last read or wrote them; the objects are shared with the view.
        self._saved: dict[str, SavedInstances] = {}

    async def load(self) -> list[StoredHost]:
        """Return every host that was saved and not dropped."""
        loaded = await self._database.run(_load)
        self._saved = {host.host: _to_saved(host) for host in loaded}
        return loaded

    async def save(self, stored_hosts: Sequence[StoredHost]) -> None:
        """Save the hosts; a pin that is stored already stays."""
        now = {host.host: _to_saved(host) for host in stored_hosts}
        await self._database.run(lambda connection: self._save(connection, stored_hosts, now))
        self._saved |= now

    async def drop(self, host: str) -> None:
        """Delete the host, but not its operations."""

        def work(connection: sa.Connection) -> None:
            for table in (hosts, instances, snapshot_notes):
                connection.execute(sa.delete(table).where(table.c.host == host))

        await self._database.run(work)
        self._saved.pop(host, None)

    def _save(
        self,
        connection: sa.Connection,
        stored_hosts: Sequence[StoredHost],
        now: dict[str, SavedInstances],
    ) -> None:
        if not stored_hosts:
            return
        # Another gateway may have dropped a host that still reports to this one.
        existing = set(connection.scalars(sa.select(hosts.c.host).where(hosts.c.host.in_(now))))
        connection.execute(self._upsert_hosts(), [_row(host) for host in stored_hosts])
        for host, saved in now.items():
            before = self._saved.get(host, {}) if host in existing else {}
            self._save_instances(connection, host, before, saved)

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
        changed = [key for key, item in now.items() if item != before.get(key)]
        if changed:
            insert = self._database.insert(instances)
            upsert = insert.on_conflict_do_update(
                index_elements=["host", "project", "name"],
                set_={
                    "record": insert.excluded.record,
                    "changed_at": insert.excluded.changed_at,
                },
            )
            connection.execute(upsert, [_instance_row(host, *now[key]) for key in changed])
        if gone := [key for key in before if key not in now]:
            delete = sa.delete(instances).where(
                instances.c.host == host,
                instances.c.project == sa.bindparam("of_project"),
                instances.c.name == sa.bindparam("of_name"),
            )
            keys = ({"of_project": project, "of_name": name} for project, name in gone)
            connection.execute(delete, list(keys))


def _to_saved(host: StoredHost) -> SavedInstances:
    return {
        (instance.project, instance.name): (instance, host.change_times.get(instance.uuid))
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
        "copies": msgspec.json.encode(stored.duplicate_uuids),
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
    by_host: defaultdict[str, list[tuple[Instance, float | None]]] = defaultdict(list)
    for row in connection.execute(sa.select(instances)):
        if instance := _read_instance(row.host, row.record):
            by_host[row.host].append((instance, row.changed_at))
    return [_stored(row, by_host[row.host]) for row in connection.execute(sa.select(hosts))]


def _read_instance(host: str, record: bytes) -> Instance | None:
    try:
        return decode(Instance, record)
    except UnreadableMessage as exc:
        # Written by another release, or with other bounds; the host will report it again.
        log.warning("stored instance unreadable", extra={"host": host, "reason": exc.reason})
        return None


def _read_duplicate_uuids(host: str, copies: bytes | None) -> tuple[str, ...]:
    try:
        return _uuids_decoder.decode(copies) if copies else ()
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        log.warning("stored duplicates unreadable", extra={"host": host, "reason": str(exc)})
        return ()


def _stored(
    row: sa.Row[tuple[object, ...]], saved: Sequence[tuple[Instance, float | None]]
) -> StoredHost:
    return StoredHost(
        host=row.host,
        fingerprint=row.fingerprint,
        epoch=row.epoch,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        instances=tuple(instance for instance, _ in saved),
        inventory_at=row.inventory_at,
        change_times={instance.uuid: at for instance, at in saved if at is not None},
        duplicate_uuids=_read_duplicate_uuids(row.host, row.copies),
        exchange=row.exchange,
    )
