"""Stores policies. Every change counts, so that the copy that makes plans sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from services.snapshots.persistence.database import Database
from services.snapshots.persistence.tables import counters, policies
from shared.contracts.codec import decode, encode
from shared.contracts.policies import Policy

T = TypeVar("T")


class PolicyTable:
    """The policies in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, policy_id: str) -> Policy | None:
        """Return a policy by its id."""
        return self._one(policies.c.id == policy_id)

    def named(self, name: str) -> Policy | None:
        """Return a policy by its name."""
        return self._one(policies.c.name == name)

    def all(self) -> list[Policy]:
        """Return all policies, by name."""
        found = self._connection.execute(sa.select(policies.c.record).order_by(policies.c.name))
        return [_policy(record) for record in found.scalars()]

    def count(self) -> int:
        """Return how many there are."""
        return int(self._connection.execute(sa.select(sa.func.count(policies.c.id))).scalar_one())

    def put(self, policy: Policy) -> Policy:
        """Insert or replace a policy; return it."""
        self.remove(policy.id)
        row = {"id": policy.id, "name": policy.name, "record": encode(policy).decode()}
        self._connection.execute(sa.insert(policies).values(row))
        return policy

    def remove(self, policy_id: str) -> None:
        """Delete a policy if it is there."""
        self._connection.execute(sa.delete(policies).where(policies.c.id == policy_id))

    def _one(self, which: sa.ColumnElement[bool]) -> Policy | None:
        record = self._connection.execute(sa.select(policies.c.record).where(which)).scalar()
        return None if record is None else _policy(record)


class SqlPolicies:
    """Reads and changes policies; every method raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, work: Callable[[PolicyTable], T]) -> T:
        """Return what `work` makes of the policies."""
        return self._database.run(lambda connection: work(PolicyTable(connection)))

    def change(self, work: Callable[[PolicyTable], T]) -> T:
        """Return what `work` makes of the policies, which nobody else changes meanwhile.

        An error that it raises leaves them as they were.
        """
        return self._database.run(lambda connection: self._change(connection, work))

    def _change(self, connection: sa.Connection, work: Callable[[PolicyTable], T]) -> T:
        # First, as it locks the row against other copies.
        counted = counters.c.name == "policies"
        connection.execute(sa.update(counters).where(counted).values(value=counters.c.value + 1))
        return work(PolicyTable(connection))


def _policy(record: str) -> Policy:
    return decode(Policy, record.encode())
