"""The migrations make exactly the tables that the code uses, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from services.lxd_worker.journal.database import migrate, open_database
from services.lxd_worker.journal.tables import metadata


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_database(tmp_path / "journal.db")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_the_migrated_tables_are_those_of_the_code(connection: Connection) -> None:
    migrate(connection)

    assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(connection: Connection) -> None:
    migrate(connection)
    migrate(connection)

    tables = set(inspect(connection).get_table_names())
    assert tables == {*metadata.tables, "alembic_version"}


def test_a_migration_that_is_cut_off_leaves_no_trace(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "journal.db")

    def cut_off() -> None:
        with engine.begin() as connection:
            migrate(connection)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()

    assert inspect(engine).get_table_names() == []
    engine.dispose()
