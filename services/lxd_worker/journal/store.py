"""The journal of operations in SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from services.lxd_worker.journal.database import InThread, JournalDatabase, migrate
from services.lxd_worker.journal.entry import JournalEntry, require_free
from services.lxd_worker.journal.protocol import MOST_PAGE_BYTES, Acceptance, Change
from services.lxd_worker.journal.rows import Rows, normalize
from services.lxd_worker.journal.tables import last_sequence, operations, tombstones
from services.lxd_worker.omissions import Omission, Omit
from shared.contracts import errors
from shared.contracts.operations import Kind, Operation

T = TypeVar("T")

_UNFINISHED = ~operations.c.final & operations.c.readable
_HOLDS = _UNFINISHED & ~operations.c.waiting

# Every operation needs these several times, and making a statement takes longer than SQLite does.
_OF_ID = operations.c.operation_id == bindparam("id")
_ENTRY = select(operations).where(_OF_ID, operations.c.readable)
_REPLACE = update(operations).where(_OF_ID)
_CONFIRM = _REPLACE.where(operations.c.sequence == bindparam("sent")).values(confirmed=True)
_UNCONFIRMED = (
    select(operations)
    .where(~operations.c.confirmed, operations.c.readable)
    .order_by(operations.c.sequence)
)
_FOLLOWING = (
    update(last_sequence)
    .values(sequence=last_sequence.c.sequence + 1)
    .returning(last_sequence.c.sequence)
)
_OF_NAME = (operations.c.project == bindparam("place")) & (
    (operations.c.instance == bindparam("name")) | (operations.c.new_name == bindparam("name"))
)
_HOLDER = select(operations).where(_OF_NAME, _HOLDS)
_WAITING = select(operations.c.sequence).where(_OF_NAME, _UNFINISHED, operations.c.waiting).limit(1)
_BURIED = select(tombstones.c.operation_id).where(tombstones.c.operation_id == bindparam("id"))


class SqlJournal:
    """Operations in a SQLite file, see `Journal`; what a method has written is on disk."""

    def __init__(self, file: Path, in_thread: InThread, omit: Omit) -> None:
        self.database = JournalDatabase(file, in_thread)
        self._omit = omit
        self._rows = Rows()
        # The numbers of all rows and of the unfinished ones: counting would read every row.
        self._length = 0
        self._unfinished = 0
        # As they were before the present transaction.
        self._counts = (0, 0)
        # No change has a later sequence number; one that was not committed may have had it.
        self._newest = 0
        self._transaction(self._prepare)

    @property
    def length(self) -> int:
        """The number of operations, after the last that was accepted or pruned."""
        return self._length

    def find(self, operation_id: str) -> JournalEntry | None:
        """See `Journal.find`."""
        return self._transaction(lambda connection: self._entry(connection, operation_id))

    def find_each(self, operation_ids: Sequence[str]) -> dict[str, JournalEntry]:
        """See `Journal.find_each`."""

        def work(connection: Connection) -> dict[str, JournalEntry]:
            found = ((each, self._entry(connection, each)) for each in operation_ids)
            return {operation_id: entry for operation_id, entry in found if entry}

        return self._transaction(work)

    def accept(self, entry: JournalEntry, host: str, limit: int) -> Acceptance:
        """See `Journal.accept`."""
        return self._transaction(lambda connection: self._accept(connection, entry, host, limit))

    def advance(self, operation_id: str, change: Change) -> JournalEntry:
        """See `Journal.advance`."""
        return self._transaction(lambda connection: self._advance(connection, operation_id, change))

    def resolve(self, operation_id: str, at: float) -> JournalEntry | None:
        """See `Journal.resolve`."""
        return self._transaction(lambda connection: self._resolve(connection, operation_id, at))

    def since(
        self, sequence: int, limit: int, most_bytes: int = MOST_PAGE_BYTES
    ) -> list[Operation]:
        """See `Journal.since`."""
        # Gateways ask regularly, and nearly always know all changes.
        if sequence >= self._newest:
            return []
        number, size = operations.c.sequence, func.length(operations.c.entry).label("size")
        later = select(number, size).where(number > sequence, operations.c.readable)
        first = later.order_by(number).limit(limit).subquery()
        up_to = func.sum(first.c.size).over(order_by=first.c.sequence)
        sized = select(first.c.sequence, (up_to - first.c.size).label("before")).subquery()
        page = select(sized.c.sequence).where(sized.c.before < most_bytes)
        return self._operations(select(operations).where(number.in_(page)).order_by(number))

    def unfinished(self) -> list[JournalEntry]:
        """See `Journal.unfinished`."""
        found = self._transaction(lambda connection: self._rows.entries(connection, _HOLDS))
        return sorted(found, key=lambda entry: entry.operation.accepted_at)

    def follower(self, ended: Operation) -> JournalEntry | None:
        """See `Journal.follower`."""
        if ended.kind is not Kind.CREATE and not ended.waits_for:
            return None
        creation = ended.waits_for or ended.operation_id
        waited = (one for one in self.unfinished() if one.operation.waits_for == creation)
        return next(waited, None)

    def holder(self, project: str, instance: str) -> JournalEntry | None:
        """See `Journal.holder`."""
        return self._transaction(lambda connection: self._holder(connection, project, instance))

    def unconfirmed(self, limit: int) -> list[Operation]:
        """See `Journal.unconfirmed`."""
        return self._operations(_UNCONFIRMED.limit(limit))

    def confirm(self, operation_id: str, sequence: int) -> None:
        """See `Journal.confirm`."""
        mine = {"id": operation_id, "sent": sequence}
        self._transaction(lambda connection: connection.execute(_CONFIRM, mine))

    def prune(self, before: float) -> int:
        """See `Journal.prune`."""
        return self._transaction(lambda connection: self._prune(connection, before))

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        def counted(connection: Connection) -> T:
            self._counts = self._length, self._unfinished
            result = work(connection)
            if self._rows.unreadable:
                self._unfinished = _count(connection, _UNFINISHED)
            return result

        try:
            return self.database.transaction(counted, self._restore_counts)
        finally:
            # Not in the journal's thread: logs and metrics have locks of their own.
            while self._rows.unreadable:
                operation_id, reason = self._rows.unreadable.popleft()
                self._omit(Omission.OPERATION, operation_id, reason)

    def _restore_counts(self) -> None:
        self._length, self._unfinished = self._counts

    def _operations(self, query: Select[Any]) -> list[Operation]:
        found = self._transaction(lambda connection: self._rows.entries_of(connection, query))
        return [entry.operation for entry in found]

    def _prepare(self, connection: Connection) -> None:
        migrate(connection)
        self._rows.check_all(connection)
        self._hand_on_free(connection)
        self._length = _count(connection)
        self._unfinished = _count(connection, _UNFINISHED)
        self._newest = connection.execute(select(last_sequence.c.sequence)).scalar_one()

    def _accept(
        self, connection: Connection, entry: JournalEntry, host: str, limit: int
    ) -> Acceptance:
        operation_id = entry.operation.operation_id
        if known := self._entry(connection, operation_id):
            return Acceptance(known, fresh=False)
        if _is_unreadable(connection, operation_id):
            raise errors.OutcomeUnknown(host)
        _refuse_buried(connection, operation_id)
        wanted = entry.operation
        entry = entry.queue_behind(self._holder(connection, wanted.project, wanted.instance))
        if new_name := wanted.arguments.new_name:
            require_free(new_name, self._holder(connection, wanted.project, new_name))
        if self._unfinished >= limit:
            raise errors.HostBusy(host)
        accepted = self._numbered(connection, entry)
        waiting = bool(entry.operation.waits_for)
        row = {"operation_id": operation_id, "waiting": waiting, **_row(accepted)}
        connection.execute(insert(operations), row)
        self._length += 1
        self._unfinished += 1
        return Acceptance(accepted, fresh=True)

    def _advance(self, connection: Connection, operation_id: str, change: Change) -> JournalEntry:
        known = self._entry(connection, operation_id)
        if known is None:
            raise errors.OperationNotFound(operation_id)
        changed = change(known)
        if changed == known:
            return known
        advanced = self._numbered(connection, changed)
        connection.execute(_REPLACE, {"id": operation_id, **_row(advanced)})
        self._unfinished += known.operation.final - advanced.operation.final
        if advanced.operation.final or advanced.operation.instance != known.operation.instance:
            self._hand_on(connection, known.operation.project, known.operation.instance)
        return advanced

    def _numbered(self, connection: Connection, entry: JournalEntry) -> JournalEntry:
        """Return the entry with the next sequence of the journal."""
        sequence = connection.execute(_FOLLOWING).scalar_one()
        self._newest = sequence
        return normalize(replace(entry, operation=replace(entry.operation, sequence=sequence)))

    def _prune(self, connection: Connection, before: float) -> int:
        forgotten = 0
        for over in (operations.c.final & operations.c.confirmed, ~operations.c.readable):
            old = delete(operations).where(over & (operations.c.changed_at < before))
            forgotten += connection.execute(old).rowcount
        connection.execute(delete(tombstones).where(tombstones.c.buried_at < before))
        self._length -= forgotten
        return forgotten

    def _hand_on_free(self, connection: Connection) -> None:
        """Give each instance whose holder became unreadable to the operation that waits for it."""
        waiting = select(operations.c.project, operations.c.instance).where(
            _UNFINISHED & operations.c.waiting
        )
        for project, instance in connection.execute(waiting.distinct()).all():
            self._hand_on(connection, project, instance)

    def _hand_on(self, connection: Connection, project: str, instance: str) -> None:
        """Give an instance to the operation that has waited for it longest, if it is free now."""
        name = {"place": project, "name": instance}
        if connection.scalar(_WAITING, name) is None or self._holder(connection, project, instance):
            return
        unfinished = _of(project, instance) & _UNFINISHED
        # What waits has not changed since its acceptance, so this is the order of acceptance.
        longest = select(func.min(operations.c.sequence)).where(unfinished).scalar_subquery()
        first = update(operations).where(operations.c.sequence == longest)
        connection.execute(first.values(waiting=False))

    def _resolve(self, connection: Connection, operation_id: str, at: float) -> JournalEntry | None:
        known = self._entry(connection, operation_id)
        if known is None:
            if _is_unreadable(connection, operation_id):
                raise errors.UnreadableMessage(f"the journal's row of operation {operation_id}")
            row = {"operation_id": operation_id, "buried_at": at}
            connection.execute(insert(tombstones).prefix_with("OR IGNORE").values(row))
        return known

    def _holder(self, connection: Connection, project: str, instance: str) -> JournalEntry | None:
        name = {"place": project, "name": instance}
        return next(iter(self._rows.entries_of(connection, _HOLDER, name)), None)

    def _entry(self, connection: Connection, operation_id: str) -> JournalEntry | None:
        found = self._rows.entries_of(connection, _ENTRY, {"id": operation_id})
        return next(iter(found), None)


def _is_unreadable(connection: Connection, operation_id: str) -> bool:
    mine = (operations.c.operation_id == operation_id) & ~operations.c.readable
    return _count(connection, mine) > 0


def _refuse_buried(connection: Connection, operation_id: str) -> None:
    if connection.scalar(_BURIED, {"id": operation_id}):
        raise errors.OperationRefused(operation_id)


def _of(project: str, instance: str) -> ColumnElement[bool]:
    named = (operations.c.instance == instance) | (operations.c.new_name == instance)
    return (operations.c.project == project) & named


def _row(entry: JournalEntry) -> dict[str, object]:
    return {
        "sequence": entry.operation.sequence,
        "project": entry.operation.project,
        "instance": entry.operation.instance,
        "new_name": entry.operation.arguments.new_name,
        "final": entry.operation.final,
        "confirmed": False,
        "changed_at": time.time(),
        "readable": True,
        "entry": msgspec.json.encode(entry),
    }


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    counting = select(func.count()).select_from(operations).where(*conditions)
    return connection.scalar(counting) or 0
