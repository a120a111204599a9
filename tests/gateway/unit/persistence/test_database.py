"""What becomes of values that a database does not take: the message's fault, not the database's."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.gateway.persistence.database import Database
from shared.contracts.errors import DatabaseUnavailable, UnreadableMessage

TABLE = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
Work = Callable[[sa.Connection], object]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    await database.run(TABLE.metadata.create_all)
    await database.run(adding({"id": "a", "number": 1}))
    yield database
    await database.close()


def adding(values: dict[str, object]) -> Work:
    return lambda connection: connection.execute(sa.insert(TABLE), values)


@pytest.mark.parametrize(
    "values",
    [
        {"id": "a", "number": 2},
        {"id": "b", "number": None},
        {"id": "b", "number": 2**70},
    ],
    ids=["taken", "missing", "too large"],
)
async def test_values_that_cannot_be_kept_are_unreadable(
    database: Database, values: dict[str, object]
) -> None:
    with pytest.raises(UnreadableMessage, match="cannot be stored"):
        await database.run(adding(values))


@pytest.mark.parametrize("many", [False, True])
async def test_a_text_is_kept_without_what_no_database_holds(
    database: Database, many: bool
) -> None:
    rows = [{"id": f"{number}\0\ud800", "number": number} for number in (2, 3)]

    await database.run(lambda c: c.execute(sa.insert(TABLE), rows if many else rows[0]))

    kept = await database.run(lambda c: c.execute(sa.select(TABLE.c.id)).scalars().all())
    assert sorted(kept) == ["2\ufffd\ufffd", *["3\ufffd\ufffd"][: int(many)], "a"]


async def test_a_database_that_cannot_be_written_is_away(database: Database) -> None:
    def in_the_way(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = 1")
        connection.execute(sa.insert(TABLE), {"id": "c", "number": 3})

    with pytest.raises(DatabaseUnavailable):
        await database.run(in_the_way)
