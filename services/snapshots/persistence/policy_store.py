"""Stores policies. Every change counts, so that the copy that makes plans sees it.

A row that cannot be read, as a newer copy has written it, costs no other: it is left out of lists
and plans, and only who asks for it is told. Its name stays taken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa

from services.snapshots.persistence.database import Database
from services.snapshots.persistence.tables import counters, policies
from shared.contracts.codec import decode, encode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.policies import MOST_POLICIES, Policy

log = logging.getLogger(__name__)

T = TypeVar("T")


# Unreadable rows that have been logged: lists are read every second or so.
_logged: set[tuple[str, str]] = set()


class PolicyTable:
    """The policies in one transaction; a row that cannot be read raises UnreadableMessage."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, policy_id: str) -> Policy | None:
        """Return a policy by its id."""
        which = sa.select(policies.c.record).where(policies.c.id == policy_id)
        record = self._connection.execute(which).scalar()
        return None if record is None else _policy(record)

    def id_of(self, name: str) -> str | None:
        """Return the id of the policy of this name, readable or not."""
        named = sa.select(policies.c.id).where(policies.c.name == name)
        return self._connection.execute(named).scalar()

    def all(self) -> list[Policy]:
        """Return all policies that can be read, by name."""
        rows = sa.select(policies.c.id, policies.c.record).order_by(policies.c.name)
        return list(_readable(self._connection.execute(rows)))

    def count(self) -> int:
        """Return how many there are."""
        return int(self._connection.execute(sa.select(sa.func.count(policies.c.id))).scalar_one())

    def put(self, policy: Policy) -> Policy:
        """Insert or replace a policy; return it."""
        self.remove(policy.id)
        row = {"id": policy.id, "name": policy.name, "record": encode(policy).decode()}
        self._connection.execute(sa.insert(policies).values(row))
        return policy

    def remove(self, policy_id: str) -> bool:
        """Delete a policy, readable or not; return whether it was there."""
        gone = sa.delete(policies).where(policies.c.id == policy_id)
        return bool(self._connection.execute(gone).rowcount)


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


def _readable(rows: Iterable[Any]) -> Iterator[Policy]:
    for row in rows:
        try:
            yield _policy(row.record)
        except UnreadableMessage as exc:
            _log_once(row.id, exc.reason)


def _log_once(policy_id: str, reason: str) -> None:
    if (policy_id, reason) in _logged:
        return
    if len(_logged) >= MOST_POLICIES:
        _logged.clear()
    _logged.add((policy_id, reason))
    log.error("unreadable policy left out", extra={"policy_id": policy_id, "reason": reason})


def _policy(record: str) -> Policy:
    return decode(Policy, record.encode())
