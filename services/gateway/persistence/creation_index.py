"""Which creations are stored that are not done, so that nobody asks the database for any other.

It is right only where no other gateway writes to the database. It may name some that are done or
deleted since: whoever asks finds out.
"""

from __future__ import annotations

import sqlalchemy as sa

from services.gateway.persistence.tables import operations
from shared.contracts.bounds import writable
from shared.contracts.operations import Kind, Operation, State

# With more of them, the database is asked each time. They need 120 bytes each.
MOST = 100_000


class CreationIndex:
    """The ids of stored creations that are not done; until `load`, any id may be one."""

    def __init__(self) -> None:
        self._ids: set[str] | None = None

    def load(self, connection: sa.Connection) -> None:
        """Read the ids anew; nothing may be written to the table meanwhile."""
        unfinished = sa.and_(
            operations.c.kind == Kind.CREATE, operations.c.state != State.DONE.value
        )
        query = sa.select(operations.c.id).where(unfinished).limit(MOST + 1)
        self._set(set(connection.execute(query).scalars()))

    def add(self, operation: Operation) -> None:
        """Add what is about to be stored, if it is a creation."""
        if self._ids is not None and operation.kind is Kind.CREATE:
            self._ids.add(writable(operation.operation_id))
            self._set(self._ids)

    def may_hold(self, operation_id: str) -> bool:
        """Whether such a creation may be stored; False only if none is."""
        ids = self._ids
        return ids is None or operation_id in ids

    def _set(self, ids: set[str]) -> None:
        self._ids = ids if len(ids) <= MOST else None
