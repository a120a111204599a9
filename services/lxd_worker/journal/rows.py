"""The entries in the journal's rows, and which rows can be read.

A row may be of a newer release, or damaged with the disk. It is then marked as unreadable: it
stays as it is, no longer holds its instance, is reported to nobody, and a release that can read it
goes on with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, select, update
from sqlalchemy.exc import IntegrityError

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.tables import operations
from shared.contracts.sanitizer import Unfit, fit, fit_message, parse

# The parts that only describe an instance or an error. An earlier release may have written more
# there than this one accepts; any other part decides what is done next, and is never left out.
_DESCRIPTIVE = ("operation.after", "operation.failure", "remark", "before.shape", "first.shape")


_NOTHING: Mapping[str, object] = {}


class UnreadableRow(Exception):
    """A row that holds no entry of this release."""


class Rows:
    """Reads rows within a transaction; those that turn out to be unreadable go to `unreadable`.

    It holds the ids of their operations and the reason, for the owner of the transaction to report.
    """

    def __init__(self) -> None:
        # One thread takes from it while another adds to it.
        self.unreadable: deque[tuple[str, str]] = deque()

    def entries(
        self, connection: Connection, *conditions: ColumnElement[bool]
    ) -> list[JournalEntry]:
        """Return the entries of all rows that meet the conditions."""
        return self.entries_of(
            connection, select(operations).where(operations.c.readable, *conditions)
        )

    def entries_of(
        self, connection: Connection, query: Select[Any], values: Mapping[str, object] = _NOTHING
    ) -> list[JournalEntry]:
        """Return the entries of the readable rows that a query of operations finds, in its order.

        The query leaves out what is marked as unreadable. It is run again without what turns out to
        be, so that a limit counts readable ones.
        """
        while True:
            rows = connection.execute(query, values).all()
            read = [(row, self._read(row.operation_id, row.entry)) for row in rows]
            unreadable = [row.operation_id for row, entry in read if entry is None]
            if not unreadable:
                return [entry for _, entry in read if entry]
            _mark(connection, unreadable, readable=False)

    def check_all(self, connection: Connection) -> None:
        """Mark what this release cannot read, and unmark what an earlier one could not."""
        self.entries(connection, ~operations.c.final)
        self.entries(connection, ~operations.c.confirmed)
        for row in connection.execute(select(operations).where(~operations.c.readable)).all():
            if self._read(row.operation_id, row.entry):
                self._unmark(connection, row.operation_id)

    def _unmark(self, connection: Connection, operation_id: str) -> None:
        try:
            with connection.begin_nested():
                _mark(connection, [operation_id], readable=True)
        except IntegrityError:
            self.unreadable.append((operation_id, "another operation holds its instance"))

    def _read(self, operation_id: str, body: bytes) -> JournalEntry | None:
        try:
            return decode_entry(body)
        except UnreadableRow as exc:
            self.unreadable.append((operation_id, str(exc)))
            return None


def normalize(entry: JournalEntry) -> JournalEntry:
    """Return an entry that can be read again and sent, whatever an instance or an error holds."""
    operation, _ = fit_message(entry.operation)
    return replace(entry, operation=operation)


def decode_entry(body: bytes) -> JournalEntry:
    """Return the entry in a row; raise UnreadableRow."""
    try:
        return msgspec.json.decode(body, type=JournalEntry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        reason = str(exc)
    try:
        entry, left_out = fit(JournalEntry, parse(body))
    except Unfit as exc:
        raise UnreadableRow(reason) from exc
    if not all(place.startswith(_DESCRIPTIVE) for place in left_out):
        raise UnreadableRow(reason)
    return entry


def _mark(connection: Connection, operation_ids: list[str], *, readable: bool) -> None:
    those = operations.c.operation_id.in_(operation_ids)
    connection.execute(update(operations).where(those).values(readable=readable))
