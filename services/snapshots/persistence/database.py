"""Database access from greenthreads, and the migrations of the service's schema.

Every transaction runs in the process's one native thread: a slow database delays who waits for it,
and nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from shared.contracts.errors import DatabaseUnavailable
from shared.platform.database import Insert, SqlDatabase, migrate
from shared.platform.run.native_thread import run_in_native_thread

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x5A9B5807
# After a failure transactions fail at once for so long, rather than wait for a time-out one after
# the other.
FAIL_FAST_S = 1.0


class Database:
    """Runs transactions; other copies of the service may do so too, on the same database."""

    def __init__(self, url: str) -> None:
        self._sql = SqlDatabase(url, pool=1)
        self._failed_at = float("-inf")

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction; return its result after the commit.

        Raises DatabaseUnavailable, and UnreadableMessage for values that cannot be stored.
        """
        return run_in_native_thread(lambda: self._run(work))

    def migrate(self) -> None:
        """Migrate the schema to this release; raise DatabaseUnavailable."""
        self.run(lambda connection: migrate(connection, MIGRATIONS, _MIGRATION_LOCK))

    def insert(self, table: sa.Table) -> Insert:
        """Return an insert that supports `on_conflict`."""
        return self._sql.insert(table)

    def close(self) -> None:
        """Close the connections."""
        run_in_native_thread(self._sql.dispose)

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        if time.monotonic() - self._failed_at < FAIL_FAST_S:
            raise DatabaseUnavailable
        try:
            return self._sql.transaction(work)
        except DatabaseUnavailable:
            self._failed_at = time.monotonic()
            raise
