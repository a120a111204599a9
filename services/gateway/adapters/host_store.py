"""Hosts and their last inventories in the database."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from services.gateway.adapters.database import Database
from services.gateway.adapters.tables import hosts, snapshot_notes
from services.gateway.domain.stored import StoredHost
from shared.contracts.codec import decode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.instances import Instance

log = logging.getLogger(__name__)

T = TypeVar("T")

_instances = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_changes: msgspec.json.Decoder[Mapping[str, float]] = msgspec.json.Decoder(dict[str, float])
_copies = msgspec.json.Decoder(tuple[str, ...])


class SqlHostStore:
    """Implements `ports.HostStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[StoredHost]:
        """Return every host that was saved and not dropped."""
        rows = await self._database.run(lambda connection: connection.execute(sa.select(hosts)))
        return [_stored(row) for row in rows]

    async def save(self, known: Sequence[StoredHost]) -> None:
        """Keep the hosts as they are now; a pin that is there already stays."""
        await self._database.run(lambda connection: self._save(connection, known))

    async def drop(self, host: str) -> None:
        """Keep nothing of the host but its operations."""

        def work(connection: sa.Connection) -> None:
            for table in (hosts, snapshot_notes):
                connection.execute(sa.delete(table).where(table.c.host == host))

        await self._database.run(work)

    def _save(self, connection: sa.Connection, known: Sequence[StoredHost]) -> None:
        insert = self._database.insert(hosts)
        new = insert.excluded
        pin = sa.case((hosts.c.fingerprint == "", new.fingerprint), else_=hosts.c.fingerprint)
        upsert = insert.on_conflict_do_update(
            index_elements=[hosts.c.host],
            set_={
                "fingerprint": pin,
                "epoch": new.epoch,
                "last_seen": new.last_seen,
                "inventory": new.inventory,
                "inventory_at": new.inventory_at,
                "changes": new.changes,
                "copies": new.copies,
                "exchange": new.exchange,
            },
        )
        if known:
            connection.execute(upsert, [_row(host) for host in known])


def _row(stored: StoredHost) -> dict[str, object]:
    return {
        "host": stored.host,
        "fingerprint": stored.fingerprint,
        "epoch": stored.epoch,
        "first_seen": stored.first_seen,
        "last_seen": stored.last_seen,
        "inventory": msgspec.json.encode(stored.instances),
        "inventory_at": stored.inventory_at,
        "changes": msgspec.json.encode(stored.changes),
        "copies": msgspec.json.encode(stored.copies),
        "exchange": stored.exchange,
    }


def _read(host: str, decoder: msgspec.json.Decoder[T], kept: bytes | None, nothing: T) -> T:
    """Return what is kept of a host; nothing where it cannot be read, for that is its own loss."""
    if kept is None:
        return nothing
    try:
        return decoder.decode(kept)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        # Another release wrote it; the host itself will tell anew.
        log.warning("kept inventory not read", extra={"host": host, "reason": str(exc)})
        return nothing


def _read_instances(host: str, inventory: bytes | None) -> tuple[Instance, ...]:
    """Return the instances that can be read: another release wrote them, or had other bounds."""
    kept = _read(host, _instances, inventory, ())
    return tuple(found for each in kept if (found := _instance(host, each)))


def _instance(host: str, kept: msgspec.Raw) -> Instance | None:
    try:
        return decode(Instance, bytes(kept))
    except UnreadableMessage as exc:
        # The host itself will tell anew.
        log.warning("kept instance not read", extra={"host": host, "reason": exc.reason})
        return None


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredHost:
    return StoredHost(
        host=row.host,
        fingerprint=row.fingerprint,
        epoch=row.epoch,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        instances=_read_instances(row.host, row.inventory),
        inventory_at=row.inventory_at,
        changes=_read(row.host, _changes, row.changes, {}),
        copies=_read(row.host, _copies, row.copies, ()),
        exchange=row.exchange,
    )
