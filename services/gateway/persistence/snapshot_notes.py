"""Stores the descriptions of snapshots."""

from __future__ import annotations

import sqlalchemy as sa

from services.gateway.persistence.database import Database
from services.gateway.persistence.tables import snapshot_notes
from services.gateway.vms.snapshots import SnapshotNote, deletes_instance, deletes_snapshot, note_of
from shared.contracts.operations import Operation


class SqlSnapshotNotes:
    """Implements `SnapshotNotes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, host: str, uuid: str) -> dict[str, SnapshotNote]:
        """Return the notes on an instance's snapshots, by snapshot name."""
        query = sa.select(snapshot_notes).where(_of_instance(host, uuid))
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return {row.snapshot: SnapshotNote(row.description, row.noted_at) for row in rows}


def apply_operation(connection: sa.Connection, operation: Operation) -> None:
    """Apply an ended operation to the notes, in the same transaction."""
    instance = _of_instance(operation.host, operation.uuid)
    same = sa.and_(instance, snapshot_notes.c.snapshot == operation.arguments.snapshot)
    note = note_of(operation)
    if deletes_instance(operation):
        connection.execute(sa.delete(snapshot_notes).where(instance))
    if note or deletes_snapshot(operation):
        connection.execute(sa.delete(snapshot_notes).where(same))
    if note and note.description:
        connection.execute(sa.insert(snapshot_notes).values(_row(operation, note)))


def _of_instance(host: str, uuid: str) -> sa.ColumnElement[bool]:
    return sa.and_(snapshot_notes.c.host == host, snapshot_notes.c.uuid == uuid)


def _row(operation: Operation, note: SnapshotNote) -> dict[str, object]:
    return {
        "host": operation.host,
        "uuid": operation.uuid,
        "snapshot": operation.arguments.snapshot,
        "description": note.description,
        "noted_at": note.noted_at,
    }
