"""Database access off the event loop, and the migrations of the gateway's schema.

SQLite gets one thread, as it has one writer anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from services.gateway.persistence import tables
from shared.contracts.errors import DatabaseUnavailable
from shared.platform.database import Insert, SqlDatabase, migrate

T = TypeVar("T")

POSTGRESQL_THREADS = 4

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x1D5F1EE7


class Database:
    """Runs transactions off the event loop. `shared`: other gateways may write too."""

    def __init__(self, url: str) -> None:
        self._sql = SqlDatabase(url, pool=POSTGRESQL_THREADS)
        self.shared = self._sql.shared
        threads = POSTGRESQL_THREADS if self.shared else 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="database")

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction; return its result after the commit.

        Raises DatabaseUnavailable, and UnreadableMessage for values that cannot be stored.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._sql.transaction, work)

    async def migrate(self) -> None:
        """Migrate the schema to this release."""
        await self.run(lambda connection: migrate(connection, MIGRATIONS, _MIGRATION_LOCK))

    async def close(self) -> None:
        """Finish running transactions and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._sql.dispose()

    def insert(self, table: sa.Table) -> Insert:
        """Return an insert that supports `on_conflict`."""
        return self._sql.insert(table)


async def answers(database: Database) -> bool:
    """Return whether the database is writable, by an update that changes nothing."""
    nothing = sa.update(tables.hosts).values(epoch=0).where(sa.false())
    try:
        await database.run(lambda connection: connection.execute(nothing))
    except DatabaseUnavailable:
        return False
    return True
