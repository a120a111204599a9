"""Stores when requests under an Idempotency-Key were to run a policy, beside keys of operations.

A key is one row, whatever it was used for: in the place of an operation's id it has the moment. So
keys of both kinds exclude each other, and go at the same age.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from services.gateway.operations.store import IdempotencyKey
from services.gateway.persistence.database import Database
from services.gateway.persistence.tables import idempotency_keys
from shared.contracts.errors import IdempotencyKeyReused


class SqlRunKeys:
    """Implements `RunKeys`; `clock` returns Unix time."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._add = database.insert(idempotency_keys).on_conflict_do_nothing()

    async def moment_of(self, key: IdempotencyKey, at: str) -> str:
        """Return the moment of the first request under a key: this one, if it is the first."""
        row = {
            "principal": key.principal,
            "key": key.key,
            "fingerprint": key.fingerprint,
            "operation_id": at,
            "created": self._clock(),
        }
        return await self._database.run(lambda connection: self._first(connection, key, row))

    def _first(self, connection: sa.Connection, key: IdempotencyKey, row: dict[str, object]) -> str:
        connection.execute(self._add, row)
        columns = idempotency_keys.c
        same = sa.and_(columns.principal == key.principal, columns.key == key.key)
        first = connection.execute(sa.select(idempotency_keys).where(same)).one()
        if first.fingerprint != key.fingerprint:
            raise IdempotencyKeyReused(key.key)
        return str(first.operation_id)
