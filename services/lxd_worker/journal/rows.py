"""What the journal's rows hold, and which of them can be read.

A row may be of a newer release, or damaged with the disk. It is set aside: it stays as it is and
holds its instance no more, nobody is told of it, and a release that can read it goes on with it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, select, update
from sqlalchemy.exc import IntegrityError

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.tables import operations
from shared.contracts.fitting import Unfit, fit, fit_message, parse

# What only tells of an instance or an error. An earlier release may have written more of it than
# this one takes; any other part of an entry decides what is done next, and is never left out.
_TELLING = ("operation.after", "operation.failure", "before.shape", "first.shape")


class UnreadableRow(Exception):
    """A row that holds no entry of this release."""


class Rows:
    """Reads rows within a transaction; `set_aside` grows by those that turn out to be unreadable.

    It holds their operations' ids and why, for whoever has made the transaction to tell.
    """

    def __init__(self) -> None:
        # Taken from by one thread while another adds to it.
        self.set_aside: deque[tuple[str, str]] = deque()

    def entries(
        self, connection: Connection, *conditions: ColumnElement[bool]
    ) -> list[JournalEntry]:
        """Return the entries of all rows that fit."""
        return self.entries_of(connection, select(operations).where(*conditions))

    def entries_of(self, connection: Connection, query: Select[Any]) -> list[JournalEntry]:
        """Return the entries of the rows that a query of operations finds, in its order.

        It is asked again without those that cannot be read, so that none takes another's place.
        """
        while True:
            rows = connection.execute(query.where(operations.c.readable)).all()
            read = [(row, self._read(row.operation_id, row.entry)) for row in rows]
            unreadable = [row.operation_id for row, entry in read if entry is None]
            if not unreadable:
                return [entry for _, entry in read if entry]
            _mark(connection, unreadable, readable=False)

    def look_through(self, connection: Connection) -> None:
        """Set aside what this release cannot read, and take back what an earlier one could not."""
        self.entries(connection, ~operations.c.final)
        self.entries(connection, ~operations.c.confirmed)
        for row in connection.execute(select(operations).where(~operations.c.readable)).all():
            if self._read(row.operation_id, row.entry):
                self._take_back(connection, row.operation_id)

    def _take_back(self, connection: Connection, operation_id: str) -> None:
        try:
            with connection.begin_nested():
                _mark(connection, [operation_id], readable=True)
        except IntegrityError:
            self.set_aside.append((operation_id, "another operation holds its instance"))

    def _read(self, operation_id: str, body: bytes) -> JournalEntry | None:
        try:
            return entry_in(body)
        except UnreadableRow as exc:
            self.set_aside.append((operation_id, str(exc)))
            return None


def written(entry: JournalEntry) -> JournalEntry:
    """Return an entry that can be read again and told, whatever an instance or an error says."""
    operation, _ = fit_message(entry.operation)
    return replace(entry, operation=operation)


def entry_in(body: bytes) -> JournalEntry:
    """Return what a row holds; raise UnreadableRow."""
    try:
        return msgspec.json.decode(body, type=JournalEntry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        reason = str(exc)
    try:
        entry, left_out = fit(JournalEntry, parse(body))
    except Unfit as exc:
        raise UnreadableRow(reason) from exc
    if not all(place.startswith(_TELLING) for place in left_out):
        raise UnreadableRow(reason)
    return entry


def _mark(connection: Connection, operation_ids: list[str], *, readable: bool) -> None:
    those = operations.c.operation_id.in_(operation_ids)
    connection.execute(update(operations).where(those).values(readable=readable))
