"""Stores what hosts did for slots of policies, newest slot first when listed.

A slot is its host's word: one that is still to come stands where it was stored, so that no host can
keep the first page for itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from services.snapshots.persistence.database import Database
from services.snapshots.persistence.tables import runs
from shared.contracts.codec import decode, encode
from shared.contracts.errors import InvalidInput, UnreadableMessage
from shared.contracts.policies import PolicyRun
from shared.contracts.policy_api import HostRun, RunPage, RunQuery
from shared.policies.moments import slot_text

log = logging.getLogger(__name__)

# Rows that one transaction deletes, so that none takes long.
PURGED_AT_ONCE = 5_000
_ORDER = (runs.c.slot, runs.c.host, runs.c.operation_id)


class SqlRuns:
    """Reads and writes runs; every method raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, given: Sequence[tuple[str, PolicyRun]], at: float) -> None:
        """Store runs of hosts, unless a later change is stored already; `at` is Unix time."""
        newest: dict[tuple[str, str], tuple[str, PolicyRun]] = {}
        for host, run in given:
            key = (host, run.operation_id)
            if key not in newest or newest[key][1].sequence <= run.sequence:
                newest[key] = (host, run)
        values = [_values(host, run, at) for host, run in newest.values()]
        if values:
            self._database.run(lambda connection: self._record(connection, values))

    def sequences(self, host: str, operations: Iterable[str]) -> dict[str, int]:
        """Return the sequences of stored runs of a host, by operation."""
        which = sa.and_(runs.c.host == host, runs.c.operation_id.in_(list(operations)))
        found = sa.select(runs.c.operation_id, runs.c.sequence).where(which)
        return self._database.run(
            lambda connection: {row[0]: row[1] for row in connection.execute(found)}
        )

    def page(self, query: RunQuery) -> RunPage:
        """Return the runs of a query; raises InvalidInput for a bad cursor."""
        columns = sa.select(*_ORDER, runs.c.record)
        ordered = columns.where(*_conditions(query)).order_by(*(each.desc() for each in _ORDER))
        rows = self._database.run(
            lambda connection: connection.execute(ordered.limit(query.limit + 1)).all()
        )
        listed = rows[: query.limit]
        cursor = " ".join(listed[-1][:-1]) if len(rows) > query.limit else ""
        return RunPage(runs=list(_readable(listed)), cursor=cursor)

    def purge(self, before: float) -> int:
        """Delete some runs that were stored before a Unix time; return how many."""
        old = sa.select(runs.c.host, runs.c.operation_id).where(runs.c.stored_at < before)
        return self._delete(old.order_by(runs.c.stored_at).limit(PURGED_AT_ONCE))

    def prune(self, host: str, most: int) -> int:
        """Delete some of a host's runs beyond the newest `most`; return how many."""
        old = sa.select(runs.c.host, runs.c.operation_id).where(runs.c.host == host)
        ordered = old.order_by(*(each.desc() for each in _ORDER))
        return self._delete(ordered.offset(most).limit(PURGED_AT_ONCE))

    def _delete(self, which: sa.Select[tuple[str, str]]) -> int:
        key = sa.tuple_(runs.c.host, runs.c.operation_id)
        gone = sa.delete(runs).where(key.in_(which))
        return self._database.run(lambda connection: int(connection.execute(gone).rowcount))

    def _record(self, connection: sa.Connection, values: list[dict[str, object]]) -> None:
        insert = self._database.insert(runs)
        replaced = {
            name: insert.excluded[name]
            for name in values[0]
            if name not in ("host", "operation_id")
        }
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["host", "operation_id"],
                set_=replaced,
                where=runs.c.sequence < insert.excluded.sequence,
            ),
            values,
        )


def _values(host: str, run: PolicyRun, at: float) -> dict[str, object]:
    return {
        "host": host,
        "operation_id": run.operation_id,
        "slot": min(run.slot, slot_text(datetime.fromtimestamp(at, UTC))),
        "policy_id": run.policy_id,
        "uuid": run.uuid,
        "state": run.state.value,
        "sequence": run.sequence,
        "stored_at": at,
        "record": encode(run).decode(),
    }


def _conditions(query: RunQuery) -> list[sa.ColumnElement[bool]]:
    equal = {"policy_id": query.policy_id, "host": query.host, "uuid": query.uuid}
    conditions = [runs.c[name] == value for name, value in equal.items() if value]
    if query.state is not None:
        conditions.append(runs.c.state == query.state.value)
    if query.before:
        conditions.append(sa.tuple_(*_ORDER) < sa.tuple_(*_position(query.before)))
    return conditions


def _readable(rows: Iterable[Any]) -> Iterator[HostRun]:
    """Yield the runs of rows; one that this release cannot read is left out, and logged."""
    for row in rows:
        try:
            yield HostRun(host=row.host, run=decode(PolicyRun, row.record.encode()))
        except UnreadableMessage as exc:
            of = {"host": row.host, "operation_id": row.operation_id}
            log.warning("unreadable run", extra={**of, "reason": exc.reason})


def _position(cursor: str) -> list[sa.ColumnElement[str]]:
    words = cursor.split(" ")
    if len(words) != len(_ORDER):
        raise InvalidInput("before", "the cursor of a page of runs")
    return [sa.literal(word) for word in words]
