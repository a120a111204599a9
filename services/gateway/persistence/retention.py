"""How long rows stay in the database, and how many of each host: the newest, up to a size too.

The times are settings (`FLEET_KEEP_*`); `service` purges by them.

A host may report any number of operations that no gateway submitted. They displace its own oldest
ones, never those of another host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from services.gateway.persistence.tables import idempotency_keys, operations, snapshot_notes
from shared.contracts.codec import encode
from shared.contracts.operations import FINAL, Operation

# Rows are counted again after 1/SLACK of the limit was written.
SLACK = 20


@dataclass(frozen=True, slots=True)
class OperationRetention:
    """The limits per host; `keys` is the limit of all idempotency keys. Sizes are in characters."""

    operations: int = 10_000
    operations_size: int = 64 * 2**20
    record_size: int = 256 * 2**10
    notes: int = 10_000
    notes_size: int = 16 * 2**20
    keys: int = 1_000_000


DEFAULT = OperationRetention()


class WriteCounts:
    """Counts what was written per host since its rows were last counted.

    A host that is new to this process is due at once.
    """

    def __init__(self, retention: OperationRetention) -> None:
        self._most = retention.operations // SLACK
        self._most_size = retention.operations_size // SLACK
        self._count: defaultdict[str, int] = defaultdict(lambda: self._most)
        self._size: defaultdict[str, int] = defaultdict(int)

    def add(self, operation: Operation) -> None:
        """Count a written operation."""
        self._count[operation.host] += 1
        self._size[operation.host] += len(encode(operation))

    def take_due(self, hosts: Iterable[str]) -> list[str]:
        """Return the hosts whose rows must be counted, and reset their counts."""
        due = [host for host in hosts if self._is_due(host)]
        for host in due:
            self._count[host] = self._size[host] = 0
        return due

    def _is_due(self, host: str) -> bool:
        return self._count[host] > self._most or self._size[host] > self._most_size


def prune(connection: sa.Connection, host: str, retention: OperationRetention) -> None:
    """Delete the excess rows of a host, the oldest first."""
    connection.execute(_old_operations(host, retention))
    connection.execute(_old_notes(host, retention))


def purge(
    connection: sa.Connection,
    retention: OperationRetention,
    *,
    keys_before: float,
    operations_before: float,
) -> None:
    """Delete keys and operations that were requested before these Unix times, and excess keys."""
    connection.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.created < keys_before))
    _prune_keys(connection, retention)
    connection.execute(sa.delete(operations).where(operations.c.created < operations_before))


def _prune_keys(connection: sa.Connection, retention: OperationRetention) -> None:
    """Delete the oldest excess idempotency keys."""
    created = idempotency_keys.c.created
    newest_too_many = sa.select(created).order_by(created.desc()).offset(retention.keys).limit(1)
    old = sa.delete(idempotency_keys).where(created <= newest_too_many.scalar_subquery())
    connection.execute(old)


def _old_operations(host: str, retention: OperationRetention) -> sa.Delete:
    """Return the statement that deletes excess operations of a host.

    An operation that a gateway submitted stays until it has ended, and one with a key as long as
    its key: callers created them, not the host. Of the others, ended ones are deleted first.
    """
    columns = operations.c
    final = columns.state.in_(FINAL)
    keyed = sa.exists().where(idempotency_keys.c.operation_id == columns.id)
    which = sa.and_(columns.host == host, sa.or_(final, columns.lease_owner == ""), ~keyed)
    order = (sa.case((final, 1), else_=0), columns.created.desc(), columns.sequence.desc())
    rank = sa.func.row_number().over(order_by=order).label("place")
    size = sa.func.sum(sa.func.length(columns.record)).over(order_by=order).label("size")
    ranked = sa.select(columns.id, rank, size).where(which).subquery()
    old = sa.select(ranked.c.id).where(
        sa.or_(ranked.c.place > retention.operations, ranked.c.size > retention.operations_size)
    )
    return sa.delete(operations).where(columns.id.in_(old))


def _old_notes(host: str, retention: OperationRetention) -> sa.Delete:
    columns = snapshot_notes.c
    order = (columns.noted_at.desc(), columns.uuid, columns.snapshot)
    rank = sa.func.row_number().over(order_by=order).label("place")
    size = sa.func.sum(sa.func.length(columns.description)).over(order_by=order).label("size")
    which = columns.host == host
    ranked = sa.select(columns.uuid, columns.snapshot, rank, size).where(which).subquery()
    old = sa.select(ranked.c.uuid, ranked.c.snapshot).where(
        sa.or_(ranked.c.place > retention.notes, ranked.c.size > retention.notes_size)
    )
    return sa.delete(snapshot_notes).where(
        which, sa.tuple_(columns.uuid, columns.snapshot).in_(old)
    )
