"""The journal in SQLite; the only place where SQL's errors exist.

Every call runs in the one native thread that `InThread` stands for, over a single connection:
nameko's process has made the locks inside SQLAlchemy green, and two native threads must never wait
for the same green lock. The thread also keeps a slow disk from holding up heartbeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from services.lxd_worker.adapters.database import migrated, opened
from services.lxd_worker.adapters.tables import last_sequence, operations, tombstones
from services.lxd_worker.domain.entry import Entry, behind, refuse_held
from services.lxd_worker.ports import Acceptance, Change
from shared.contracts.errors import (
    DatabaseUnavailable,
    HostBusy,
    OperationNotFound,
    OperationRefused,
)
from shared.contracts.operations import Operation

T = TypeVar("T")

_HOLDS = ~operations.c.final & ~operations.c.waiting


class InThread(Protocol):
    """Runs a function in the journal's thread and returns what it returns, or raises."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Wait for the work to be done."""


class SqlJournal:
    """Operations in a SQLite file; what a method has written is on the disk."""

    def __init__(self, file: Path, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._engine = opened(file)
        self._length = 0
        # No change has a later number; one that was not committed may have had it.
        self._newest = 0
        self._transaction(self._prepare)

    @property
    def length(self) -> int:
        """How many operations are kept, as of the last that came or was forgotten."""
        return self._length

    def find(self, operation_id: str) -> Entry | None:
        """See `Journal.find`."""
        return self._transaction(lambda connection: _entry(connection, operation_id))

    def accept(self, entry: Entry, host: str, limit: int) -> Acceptance:
        """See `Journal.accept`."""
        return self._transaction(lambda connection: self._accept(connection, entry, host, limit))

    def advance(self, operation_id: str, change: Change) -> Entry:
        """See `Journal.advance`."""
        return self._transaction(lambda connection: self._advance(connection, operation_id, change))

    def resolve(self, operation_id: str, at: float) -> Entry | None:
        """See `Journal.resolve`."""
        return self._transaction(lambda connection: _resolve(connection, operation_id, at))

    def since(self, sequence: int, limit: int) -> list[Operation]:
        """See `Journal.since`."""
        # Gateways ask now and then, and nearly always know all.
        if sequence >= self._newest:
            return []
        later = select(operations.c.entry).where(operations.c.sequence > sequence)
        return self._operations(later.order_by(operations.c.sequence).limit(limit))

    def unfinished(self) -> list[Entry]:
        """See `Journal.unfinished`."""
        open_ones = select(operations.c.entry).where(_HOLDS)
        found = self._transaction(lambda connection: _entries(connection, open_ones))
        return sorted(found, key=lambda entry: entry.operation.accepted_at)

    def follower(self, ended: Operation) -> Entry | None:
        """See `Journal.follower`."""
        creation = ended.waits_for or ended.operation_id
        waited = (one for one in self.unfinished() if one.operation.waits_for == creation)
        return next(waited, None)

    def holder(self, project: str, instance: str) -> Entry | None:
        """See `Journal.holder`."""
        return self._transaction(lambda connection: _holder(connection, project, instance))

    def unconfirmed(self, limit: int) -> list[Operation]:
        """See `Journal.unconfirmed`."""
        unsent = select(operations.c.entry).where(~operations.c.confirmed)
        return self._operations(unsent.order_by(operations.c.sequence).limit(limit))

    def confirm(self, operation_id: str, sequence: int) -> None:
        """See `Journal.confirm`."""
        sent = operations.c.sequence == sequence
        mine = update(operations).where(operations.c.operation_id == operation_id, sent)
        self._transaction(lambda connection: connection.execute(mine.values(confirmed=True)))

    def prune(self, before: float) -> int:
        """See `Journal.prune`."""
        return self._transaction(lambda connection: self._prune(connection, before))

    def close(self) -> None:
        """Let go of the file."""
        self._in_thread(self._engine.dispose)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        def done() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        try:
            return self._in_thread(done)
        except SQLAlchemyError as exc:
            raise DatabaseUnavailable from exc

    def _operations(self, query: Select[Any]) -> list[Operation]:
        found = self._transaction(lambda connection: _entries(connection, query))
        return [entry.operation for entry in found]

    def _prepare(self, connection: Connection) -> None:
        migrated(connection)
        self._length = _count(connection)
        self._newest = connection.execute(select(last_sequence.c.sequence)).scalar_one()

    def _accept(self, connection: Connection, entry: Entry, host: str, limit: int) -> Acceptance:
        operation_id = entry.operation.operation_id
        if known := _entry(connection, operation_id):
            return Acceptance(known, fresh=False)
        _refuse_buried(connection, operation_id)
        wanted = entry.operation
        entry = behind(entry, _holder(connection, wanted.project, wanted.instance))
        if new_name := wanted.arguments.new_name:
            refuse_held(new_name, _holder(connection, wanted.project, new_name))
        if _count(connection, ~operations.c.final) >= limit:
            raise HostBusy(host)
        written = self._numbered(connection, entry)
        waiting = bool(entry.operation.waits_for)
        row = {"operation_id": operation_id, "waiting": waiting, **_row(written)}
        connection.execute(insert(operations).values(row))
        self._length = _count(connection)
        return Acceptance(written, fresh=True)

    def _advance(self, connection: Connection, operation_id: str, change: Change) -> Entry:
        known = _entry(connection, operation_id)
        if known is None:
            raise OperationNotFound(operation_id)
        changed = change(known)
        if changed == known:
            return known
        written = self._numbered(connection, changed)
        mine = operations.c.operation_id == operation_id
        connection.execute(update(operations).where(mine).values(**_row(written)))
        if written.operation.final or written.operation.instance != known.operation.instance:
            _let_next_hold(connection, known.operation)
        return written

    def _numbered(self, connection: Connection, entry: Entry) -> Entry:
        """Return the entry with the next sequence of the journal."""
        following = update(last_sequence).values(sequence=last_sequence.c.sequence + 1)
        sequence = connection.execute(following.returning(last_sequence.c.sequence)).scalar_one()
        self._newest = sequence
        return replace(entry, operation=replace(entry.operation, sequence=sequence))

    def _prune(self, connection: Connection, before: float) -> int:
        ended = operations.c.final & operations.c.confirmed & (operations.c.changed_at < before)
        forgotten = connection.execute(delete(operations).where(ended)).rowcount
        connection.execute(delete(tombstones).where(tombstones.c.buried_at < before))
        self._length = _count(connection)
        return forgotten


def _let_next_hold(connection: Connection, held: Operation) -> None:
    """Give the instance to the operation that has waited for it longest, if it is free now."""
    if _holder(connection, held.project, held.instance):
        return
    unfinished = _of(held.project, held.instance) & ~operations.c.final
    # What waits has not changed since it was accepted, so this is the order of acceptance.
    longest = select(func.min(operations.c.sequence)).where(unfinished).scalar_subquery()
    first = update(operations).where(operations.c.sequence == longest)
    connection.execute(first.values(waiting=False))


def _resolve(connection: Connection, operation_id: str, at: float) -> Entry | None:
    known = _entry(connection, operation_id)
    if known is None:
        row = {"operation_id": operation_id, "buried_at": at}
        connection.execute(insert(tombstones).prefix_with("OR IGNORE").values(row))
    return known


def _refuse_buried(connection: Connection, operation_id: str) -> None:
    mine = tombstones.c.operation_id == operation_id
    if connection.scalar(select(tombstones.c.operation_id).where(mine)):
        raise OperationRefused(operation_id)


def _holder(connection: Connection, project: str, instance: str) -> Entry | None:
    held = select(operations.c.entry).where(_of(project, instance), _HOLDS)
    return next(iter(_entries(connection, held)), None)


def _of(project: str, instance: str) -> ColumnElement[bool]:
    named = (operations.c.instance == instance) | (operations.c.new_name == instance)
    return (operations.c.project == project) & named


def _row(entry: Entry) -> dict[str, object]:
    return {
        "sequence": entry.operation.sequence,
        "project": entry.operation.project,
        "instance": entry.operation.instance,
        "new_name": entry.operation.arguments.new_name,
        "final": entry.operation.final,
        "confirmed": False,
        "changed_at": time.time(),
        "entry": msgspec.json.encode(entry),
    }


def _entry(connection: Connection, operation_id: str) -> Entry | None:
    mine = select(operations.c.entry).where(operations.c.operation_id == operation_id)
    return next(iter(_entries(connection, mine)), None)


def _entries(connection: Connection, query: Select[Any]) -> list[Entry]:
    return [msgspec.json.decode(body, type=Entry) for body in connection.scalars(query)]


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    counting = select(func.count()).select_from(operations).where(*conditions)
    return connection.scalar(counting) or 0
