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
