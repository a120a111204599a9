"""How much the database keeps of each host: the newest, up to a number and up to a size.

A host may report operations that no gateway submitted, as many as it likes. They push out its own
oldest ones, never those of another host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from services.gateway.persistence.tables import idempotency_keys, operations, snapshot_notes
from shared.contracts.codec import encode
from shared.contracts.operations import FINAL, Operation

# How much may be written beyond what is kept, before what is too much is looked for: 1 in 20.
SLACK = 20


@dataclass(frozen=True, slots=True)
class Retention:
    """The most of one host. Sizes are in characters of what is kept as text.

    `keys` are all idempotency keys that there are.
    """

    operations: int = 10_000
    operations_size: int = 64 * 2**20
    record_size: int = 256 * 2**10
    notes: int = 10_000
    notes_size: int = 16 * 2**20
    keys: int = 1_000_000


DEFAULT = Retention()


class WriteCounts:
    """What was written of each host since its rows were counted last.

    Of a host that is new to this process it is unknown, and taken for too much.
    """

    def __init__(self, retention: Retention) -> None:
        self._most = retention.operations // SLACK
        self._most_size = retention.operations_size // SLACK
        self._count: defaultdict[str, int] = defaultdict(lambda: self._most)
        self._size: defaultdict[str, int] = defaultdict(int)

    def add(self, operation: Operation) -> None:
        """Take it that an operation was written."""
        self._count[operation.host] += 1
        self._size[operation.host] += len(encode(operation))

    def due(self, hosts: Iterable[str]) -> list[str]:
        """Return those of the hosts whose rows must be counted, and take it that they are."""
        due = [host for host in hosts if self._is_due(host)]
        for host in due:
            self._count[host] = self._size[host] = 0
        return due

    def _is_due(self, host: str) -> bool:
        return self._count[host] > self._most or self._size[host] > self._most_size


def prune(connection: sa.Connection, host: str, retention: Retention) -> None:
    """Delete what there is too much of a host, the oldest first."""
    connection.execute(_old_operations(host, retention))
    connection.execute(_old_notes(host, retention))


def prune_keys(connection: sa.Connection, retention: Retention) -> None:
    """Delete the oldest of too many idempotency keys."""
    created = idempotency_keys.c.created
    newest_too_many = sa.select(created).order_by(created.desc()).offset(retention.keys).limit(1)
    old = sa.delete(idempotency_keys).where(created <= newest_too_many.scalar_subquery())
    connection.execute(old)


def _old_operations(host: str, retention: Retention) -> sa.Delete:
    """Return what deletes operations of a host.

    An operation that a gateway submitted stays until it has ended, and one that a key stands for as
    long as its key; callers made them, not the host. Of the others those that have ended go first.
    """
    columns = operations.c
    final = columns.state.in_(FINAL)
    keyed = sa.exists().where(idempotency_keys.c.operation_id == columns.id)
    which = sa.and_(columns.host == host, sa.or_(final, columns.lease_owner == ""), ~keyed)
    order = (sa.case((final, 1), else_=0), columns.created.desc(), columns.sequence.desc())
    place = sa.func.row_number().over(order_by=order).label("place")
    size = sa.func.sum(sa.func.length(columns.record)).over(order_by=order).label("size")
    ranked = sa.select(columns.id, place, size).where(which).subquery()
    old = sa.select(ranked.c.id).where(
        sa.or_(ranked.c.place > retention.operations, ranked.c.size > retention.operations_size)
    )
    return sa.delete(operations).where(columns.id.in_(old))


def _old_notes(host: str, retention: Retention) -> sa.Delete:
    columns = snapshot_notes.c
    order = (columns.noted_at.desc(), columns.uuid, columns.snapshot)
    place = sa.func.row_number().over(order_by=order).label("place")
    size = sa.func.sum(sa.func.length(columns.description)).over(order_by=order).label("size")
    which = columns.host == host
    ranked = sa.select(columns.uuid, columns.snapshot, place, size).where(which).subquery()
    old = sa.select(ranked.c.uuid, ranked.c.snapshot).where(
        sa.or_(ranked.c.place > retention.notes, ranked.c.size > retention.notes_size)
    )
    return sa.delete(snapshot_notes).where(
        which, sa.tuple_(columns.uuid, columns.snapshot).in_(old)
    )
