"""A SQLite file that survives a power failure, with the tables of this release."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import StaticPool

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_S = 5.0


def opened(file: Path) -> Engine:
    """Return the file as an engine of one connection, which the first use opens.

    The file is its owner's alone: what an instance is described as may hold a password. SQLite
    gives the files beside it the same mode.
    """
    file.touch(mode=0o600)
    connecting = {"timeout": _BUSY_S, "isolation_level": None}
    engine = create_engine(f"sqlite:///{file}", poolclass=StaticPool, connect_args=connecting)
    event.listen(engine, "connect", _make_durable)
    event.listen(engine, "begin", _begin)
    return engine


def migrated(connection: Connection) -> None:
    """Bring the tables to the newest shape."""
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
    # Left to itself, Python's sqlite3 begins too late and leaves changes of tables out.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
