"""A SQLite file that survives a power failure, with the tables of this release.

Every call runs in the one native thread behind `InThread`, over a single connection: eventlet has
patched the locks inside SQLAlchemy, and two native threads must never wait for the same green lock.
The thread also keeps a slow disk from delaying heartbeats.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from shared.contracts.errors import DatabaseUnavailable

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_S = 5.0


class InThread(Protocol):
    """Runs a function in the journal's thread."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Return what it returns, or raise what it raises."""


class JournalDatabase:
    """The journal's file, which several stores share."""

    def __init__(self, file: Path, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._engine = open_database(file)

    def transaction(
        self, work: Callable[[Connection], T], on_failure: Callable[[], None] = lambda: None
    ) -> T:
        """Return what work returns; what it has written is on disk then, or nothing of it is.

        In the latter case `on_failure` is called, in the same thread. Raises DatabaseUnavailable.
        """

        def run() -> T:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except BaseException:
                on_failure()
                raise

        try:
            return self._in_thread(run)
        except SQLAlchemyError as exc:
            raise DatabaseUnavailable from exc

    def close(self) -> None:
        """Close the file."""
        self._in_thread(self._engine.dispose)


def open_database(file: Path) -> Engine:
    """Return an engine of one connection to a file, which its first use opens.

    Only the owner may read the file: an instance's description may hold a password. SQLite gives
    the files beside it the same mode.
    """
    file.touch(mode=0o600)
    connecting = {"timeout": _BUSY_S, "isolation_level": None}
    engine = create_engine(f"sqlite:///{file}", poolclass=StaticPool, connect_args=connecting)
    event.listen(engine, "connect", _make_durable)
    event.listen(engine, "begin", _begin)
    return engine


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest schema."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_durable(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    # By itself, Python's sqlite3 begins too late and leaves schema changes out.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
