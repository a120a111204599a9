"""What a database keeps of one host has an end, and costs no other host anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.gateway.operations.store import IdempotencyKey, Lease, OperationFilter, StoredRequest
from services.gateway.persistence.database import Database
from services.gateway.persistence.operation_store import SqlOperationStore
from services.gateway.persistence.retention import DEFAULT, OperationRetention
from services.gateway.persistence.snapshot_notes import SqlSnapshotNotes
from services.gateway.persistence.tables import idempotency_keys, operations, snapshot_notes
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Failure, Kind, Operation, State
from tests.support.builders import an_instance, an_operation
from tests.support.postgresql import fresh_database

MOST = 40
LEASE = Lease("g1", 200.0)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "postgresql":
        url = fresh_database(request.getfixturevalue("postgresql"))
    database = Database(url)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> SqlOperationStore:
    return SqlOperationStore(database, OperationRetention(operations=MOST))


def reported(number: int, host: str = "h1", state: State = State.DONE, **more: object) -> Operation:
    """Return an operation that a host tells of and that no gateway has submitted."""
    at = f"2026-11-20T10:{number // 60:02}:{number % 60:02}Z"
    return an_operation(
        f"{host}-{number}", host=host, state=state, sequence=number, created_at=at, **more
    )


async def kept(store: SqlOperationStore, host: str = "h1") -> list[str]:
    listed = await store.list(OperationFilter(host=host, limit=10_000))
    return [operation.operation_id for operation in listed]


async def count(database: Database, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return await database.run(lambda c: c.execute(query).scalar_one())


@pytest.mark.attack
async def test_of_too_many_operations_of_a_host_the_oldest_go(store: SqlOperationStore) -> None:
    await store.merge([reported(1, "h2")])

    for number in range(10 * MOST):
        await store.merge([reported(number)])

    held = await kept(store)
    assert MOST <= len(held) <= MOST + MOST // 20 + 1
    assert held == [f"h1-{number}" for number in reversed(range(10 * MOST - len(held), 10 * MOST))]
    assert await kept(store, "h2") == ["h2-1"]


@pytest.mark.attack
async def test_a_page_of_a_history_is_cut_to_what_is_kept(store: SqlOperationStore) -> None:
    await store.merge_page("h1", [reported(number) for number in range(5 * MOST)], 5 * MOST)

    assert len(await kept(store)) == MOST


@pytest.mark.attack
async def test_operations_that_never_end_have_an_end(store: SqlOperationStore) -> None:
    for number in range(5 * MOST):
        await store.merge([reported(number, state=State.RUNNING)])

    assert len(await kept(store)) <= MOST + MOST // 20 + 1


async def test_those_that_have_ended_go_before_those_that_have_not(
    store: SqlOperationStore,
) -> None:
    await store.merge([reported(0, state=State.RUNNING)])

    await store.merge([reported(number) for number in range(1, 3 * MOST)])

    assert "h1-0" in await kept(store)


@pytest.mark.attack
async def test_what_callers_asked_for_stays(store: SqlOperationStore) -> None:
    key = IdempotencyKey("admin", "k1", "body")
    unfinished = reported(1000, state=State.SUBMITTING)
    ended = reported(1001)
    await store.insert(unfinished, StoredRequest("", 1.0, LEASE))
    await store.insert(ended, StoredRequest("", 1.0, LEASE, key))

    await store.merge([reported(number) for number in range(3 * MOST)])

    assert await store.get(unfinished.operation_id) == unfinished
    assert await store.find(key) == ended


async def test_a_host_new_to_the_process_is_counted_at_once(
    database: Database, store: SqlOperationStore
) -> None:
    await store.merge([reported(number) for number in range(MOST)])
    fewer = SqlOperationStore(database, OperationRetention(operations=MOST // 2))

    await fewer.merge([reported(MOST)])

    assert len(await kept(store)) == MOST // 2


@pytest.mark.attack
async def test_of_large_operations_fewer_are_kept(database: Database) -> None:
    size = 2**20
    store = SqlOperationStore(database, OperationRetention(operations_size=size))
    failure = Failure(code="lxd_refused", values=["x" * 8000])

    for number in range(300):
        await store.merge([reported(number, failure=failure)])

    query = sa.select(sa.func.sum(sa.func.length(operations.c.record)))
    assert await database.run(lambda c: c.execute(query).scalar_one()) < 1.1 * size
    assert (await kept(store))[0] == "h1-299"


@pytest.mark.attack
async def test_a_record_is_kept_without_what_makes_it_too_large(store: SqlOperationStore) -> None:
    ordered = NewInstance(
        image=ImageSource(), cpu=1, memory=1, disk=1, ssh_keys=("k" * 8192,) * 64, description="web"
    )
    made = reported(
        1,
        kind=Kind.CREATE,
        arguments=Arguments(create=ordered),
        failure=Failure(code="lxd_refused", values=["no"]),
        after=an_instance(),
    )

    await store.merge([made])

    found = await store.get("h1-1")
    assert found is not None
    assert found.arguments.create is not None
    assert (found.arguments.create.description, found.arguments.create.ssh_keys) == ("web", ())
    assert (found.state, found.failure) == (State.DONE, made.failure)


@pytest.mark.attack
async def test_any_record_that_may_come_has_an_end(
    database: Database, store: SqlOperationStore
) -> None:
    text = "\x01" * 8192
    labels = {f"{number}{text[:200]}": text[:255] for number in range(64)}
    ordered = NewInstance(
        image=ImageSource(), cpu=1, memory=1, disk=1, description=text, labels=labels
    )

    await store.merge(
        [
            reported(
                1,
                arguments=Arguments(create=ordered, description=text, placement=text),
                failure=Failure(code="c", values=[text] * 16, message=text),
                after=an_instance(description=text),
            )
        ]
    )

    length = sa.select(sa.func.max(sa.func.length(operations.c.record)))
    assert await database.run(lambda c: c.execute(length).scalar_one()) <= DEFAULT.record_size


@pytest.mark.attack
async def test_descriptions_of_snapshots_have_an_end(database: Database) -> None:
    store = SqlOperationStore(database, OperationRetention(operations=20, notes=30))
    told = [
        reported(
            number,
            kind=Kind.SNAPSHOT,
            arguments=Arguments(snapshot=f"s{number}", description="x"),
            finished_at=f"2026-11-20T10:00:00.{number:03}Z",
        )
        for number in range(200)
    ]
    others = an_operation(
        "other",
        host="h2",
        kind=Kind.SNAPSHOT,
        state=State.DONE,
        finished_at="2026-11-20T09:00:00Z",
        arguments=Arguments(snapshot="s0", description="theirs"),
    )
    await store.merge([others])

    for operation in told:
        await store.merge([operation])

    assert await count(database, snapshot_notes) <= 30 + 1 + 2
    notes = SqlSnapshotNotes(database)
    assert "s199" in await notes.of("h1", "uuid-web")
    assert "s0" in await notes.of("h2", "uuid-web")


@pytest.mark.attack
async def test_idempotency_keys_have_an_end(database: Database) -> None:
    store = SqlOperationStore(database, OperationRetention(keys=10))
    for number in range(30):
        key = IdempotencyKey("admin", f"k{number}", "body")
        submitted = reported(number, state=State.SUBMITTING)
        await store.insert(submitted, StoredRequest("", 100.0 + number, LEASE, key))

    await store.purge(keys_before=0.0, operations_before=0.0)

    assert await count(database, idempotency_keys) == 10
    assert await store.find(IdempotencyKey("admin", "k29", "body")) is not None


@pytest.mark.attack
async def test_an_operation_that_cannot_be_read_takes_no_other_from_a_list(
    database: Database, store: SqlOperationStore
) -> None:
    await store.merge([reported(1), reported(2)])
    odd = sa.update(operations).where(operations.c.id == "h1-1").values(record="{}")
    await database.run(lambda c: c.execute(odd))

    listed = await kept(store)
    await store.merge([reported(1)])

    assert listed == ["h1-2"]
    assert await kept(store) == ["h1-2", "h1-1"]
