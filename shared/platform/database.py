"""A service's SQL database: SQLite in a file, or PostgreSQL by URL, with its migrations.

Its calls block: an asyncio service runs them in threads, one with greenthreads in its native
thread. Commits survive a power cut. No SQLAlchemy error leaves this module, and no log contains the
parameters of a statement: some are passwords. U+FFFD replaces characters that PostgreSQL rejects,
so that nothing is lost because of a NUL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, SQLAlchemyError

from shared.contracts.bounds import writable
from shared.contracts.errors import DatabaseUnavailable, UnreadableMessage

log = logging.getLogger(__name__)

T = TypeVar("T")
Insert = sqlite.Insert | postgresql.Insert

BUSY_TIMEOUT_MS = 5000
CONNECT_TIMEOUT_S = 5


class SqlDatabase:
    """Runs transactions; `shared`: other processes may write too, over up to `pool` connections."""

    def __init__(self, url: str, *, pool: int) -> None:
        self._engine = _engine(sa.make_url(url), pool)
        self.shared = self._engine.dialect.name != "sqlite"

    def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction; return its result after the commit.

        Raises DatabaseUnavailable, and UnreadableMessage for values that cannot be stored.
        """
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except (DataError, IntegrityError, OverflowError) as exc:
            raise UnreadableMessage(f"cannot be stored: {exc}") from exc
        except OperationalError as exc:
            log.warning("database not reached", extra={"reason": str(exc.orig)})
            raise DatabaseUnavailable from exc
        except SQLAlchemyError as exc:
            log.exception("database transaction failed")
            raise DatabaseUnavailable from exc

    def insert(self, table: sa.Table) -> Insert:
        """Return an insert that supports `on_conflict`."""
        return postgresql.insert(table) if self.shared else sqlite.insert(table)

    def dispose(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def migrate(connection: sa.Connection, migrations: Path, lock: int) -> None:
    """Bring the schema to this release.

    `lock` is any number unique to the schema: processes that start together migrate one after the
    other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _engine(url: sa.URL, pool: int) -> sa.Engine:
    engine = _bare_engine(url, pool)
    sa.event.listen(engine, "before_cursor_execute", _make_writable, retval=True)
    return engine


def _bare_engine(url: sa.URL, pool: int) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_size=pool,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
        )
    if url.database:
        _make_private(Path(url.database))
    engine = sa.create_engine(url, poolclass=sa.StaticPool, hide_parameters=True)
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_writable(
    _connection: sa.Connection,
    _cursor: object,
    statement: str,
    parameters: Any,
    _context: object,
    executemany: bool,
) -> tuple[str, Any]:
    if executemany:
        return statement, [_writable(row) for row in parameters]
    return statement, _writable(parameters)


def _writable(row: Any) -> Any:
    """Return the parameters of a statement, named or positional, as storable values."""
    if isinstance(row, dict):
        return dict(zip(row, map(_storable_value, row.values()), strict=True))
    return tuple(map(_storable_value, row))


def _storable_value(value: object) -> object:
    return writable(value) if isinstance(value, str) else value


def _make_private(file: Path) -> None:
    # Descriptions of instances contain passwords; SQLite gives its other files the same mode.
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


def _set_up_sqlite(connection: DBAPIConnection, _record: object) -> None:
    # Python's driver would otherwise begin transactions late, and not before DDL.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later could not wait for another writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
