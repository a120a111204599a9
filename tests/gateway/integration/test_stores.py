"""One suite for the stores in memory, on SQLite and on PostgreSQL: what the fakes claim is true."""

import asyncio
import dataclasses
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from msgspec.structs import replace

from services.gateway.fleet.host_state import StoredHost
from services.gateway.hosts.persistence import HostStore
from services.gateway.operations.store import (
    IdempotencyKey,
    Lease,
    OperationFilter,
    OperationStore,
    StoredRequest,
)
from services.gateway.persistence.database import MIGRATIONS, Database, answers
from services.gateway.persistence.host_store import SqlHostStore
from services.gateway.persistence.operation_store import SqlOperationStore
from services.gateway.persistence.run_keys import SqlRunKeys
from services.gateway.persistence.snapshot_notes import SqlSnapshotNotes
from services.gateway.persistence.tables import hosts, instances, metadata, operations
from services.gateway.policies.service import RunKeys
from services.gateway.vms.snapshots import SnapshotNote, SnapshotNotes
from shared.contracts.codec import encode
from shared.contracts.errors import (
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InstanceExists,
    UnreadableMessage,
)
from shared.contracts.operations import Arguments, Failure, Kind, Operation, State
from tests.support.builders import an_instance, an_operation
from tests.support.central import FakeRunKeys
from tests.support.postgresql import fresh_database
from tests.support.stores import MemoryHostStore, MemoryOperationStore

KEY = IdempotencyKey("admin", "k1", "body-1")


@dataclass
class Stores:
    operations: OperationStore
    hosts: HostStore
    notes: SnapshotNotes
    run_keys: RunKeys


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "memory":
        operations = MemoryOperationStore()
        yield Stores(operations, MemoryHostStore(), operations.notes, FakeRunKeys())
        return
    url = f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "postgresql":
        url = fresh_database(request.getfixturevalue("postgresql"))
    database = Database(url)
    await database.migrate()
    yield Stores(
        SqlOperationStore(database),
        SqlHostStore(database),
        SqlSnapshotNotes(database),
        SqlRunKeys(database, time.time),
    )
    await database.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/deep/folder/gateway.db")
    await database.migrate()
    yield database
    await database.close()


def asked(
    *,
    key: IdempotencyKey | None = None,
    created: float = 100.0,
    lease: Lease | None = None,
    new_name: str = "",
) -> StoredRequest:
    return StoredRequest("127.0.0.1", created, lease or Lease("g1", 200.0), key, new_name)


def submitting(operation_id: str = "op-1", **more: object) -> Operation:
    return an_operation(operation_id, state=State.SUBMITTING, sequence=0, **more)


def a_host(host: str = "h1", **more: object) -> StoredHost:
    filled = {"fingerprint": "f1", "epoch": 3, "first_seen": 10.5, "last_seen": 20.5, **more}
    return StoredHost(host=host, **filled)


async def test_what_was_inserted_is_read_back_whole(stores: Stores) -> None:
    operation = submitting(
        after=an_instance(), failure=Failure(code="lxd_refused", values=["主机"], message="no")
    )

    await stores.operations.insert(operation, asked())

    assert await stores.operations.get("op-1") == operation
    assert await stores.operations.get("op-2") is None


async def test_a_key_stands_for_its_first_operation(stores: Stores) -> None:
    await stores.operations.insert(submitting("op-1"), asked(key=KEY))

    second = await stores.operations.insert(submitting("op-2"), asked(key=KEY))

    assert second.operation_id == "op-1"
    assert await stores.operations.find(KEY) == submitting("op-1")
    assert await stores.operations.get("op-2") is None


async def test_a_key_that_is_claimed_many_times_at_once_stands_for_one(stores: Stores) -> None:
    claims = [
        stores.operations.insert(submitting(f"op-{number}"), asked(key=KEY)) for number in range(8)
    ]

    won = {operation.operation_id for operation in await asyncio.gather(*claims)}

    assert len(won) == 1
    assert len(await stores.operations.list(OperationFilter())) == 1


async def test_a_key_with_another_request_is_refused(stores: Stores) -> None:
    await stores.operations.insert(submitting("op-1"), asked(key=KEY))
    other = IdempotencyKey("admin", "k1", "body-2")

    with pytest.raises(IdempotencyKeyReused):
        await stores.operations.find(other)
    with pytest.raises(IdempotencyKeyReused):
        await stores.operations.insert(submitting("op-2"), asked(key=other))


async def test_a_key_stands_for_the_moment_of_its_first_request_to_run_a_policy(
    stores: Stores,
) -> None:
    moments = [f"2026-11-29T20:45:{second:02}Z" for second in range(8)]
    asked_at_once = [stores.run_keys.moment_of(KEY, at) for at in moments]

    won = set(await asyncio.gather(*asked_at_once))

    assert len(won) == 1
    assert {await stores.run_keys.moment_of(KEY, "2026-11-30T00:00:00Z")} == won
    assert (
        await stores.run_keys.moment_of(dataclasses.replace(KEY, key="k2"), moments[0])
        == moments[0]
    )
    with pytest.raises(IdempotencyKeyReused):
        await stores.run_keys.moment_of(dataclasses.replace(KEY, fingerprint="body-2"), moments[0])


async def test_a_key_is_of_an_operation_or_of_a_run_and_never_of_both(database: Database) -> None:
    operations, run_keys = SqlOperationStore(database), SqlRunKeys(database, lambda: 100.0)
    other = dataclasses.replace(KEY, fingerprint="body-2")
    await run_keys.moment_of(KEY, "2026-11-29T20:45:00Z")

    with pytest.raises(IdempotencyKeyReused):
        await operations.insert(submitting("op-1"), asked(key=other))
    with pytest.raises(IdempotencyKeyReused):
        await operations.find(other)

    await operations.purge(keys_before=101.0, operations_before=0.0)
    await operations.insert(submitting("op-2"), asked(key=other))
    with pytest.raises(IdempotencyKeyReused):
        await run_keys.moment_of(KEY, "2026-11-29T20:45:00Z")


async def test_a_key_belongs_to_its_principal(stores: Stores) -> None:
    await stores.operations.insert(submitting("op-1"), asked(key=KEY))

    assert await stores.operations.find(IdempotencyKey("other", "k1", "body-1")) is None


@pytest.mark.parametrize(("free", "found"), [(True, None), (False, "op-1")])
async def test_a_rejection_frees_the_key_if_asked_to(
    stores: Stores, free: bool, found: str | None
) -> None:
    await stores.operations.insert(submitting("op-1"), asked(key=KEY))

    await stores.operations.reject(replace(submitting("op-1"), state=State.REJECTED), free_key=free)

    operation = await stores.operations.find(KEY)
    assert (operation and operation.operation_id) == found
    stored = await stores.operations.get("op-1")
    assert stored is not None
    assert stored.state is State.REJECTED


async def test_a_submission_is_moved_to_another_host_with_a_new_lease(stores: Stores) -> None:
    await stores.operations.insert(submitting(), asked(key=KEY))
    elsewhere = submitting(host="h2", instance="web-2")

    moved = await stores.operations.move(elsewhere, "h1", Lease("g1", 300.0))

    assert moved
    assert await stores.operations.get("op-1") == await stores.operations.find(KEY) == elsewhere
    assert await stores.operations.list(OperationFilter(host="h1")) == []
    assert await stores.operations.list(OperationFilter(instance="web-2")) == [elsewhere]
    assert await stores.operations.unresolved("g2", 250.0) == []


@pytest.mark.parametrize("news", [State.ACCEPTED, State.REJECTED])
async def test_what_its_host_has_answered_for_is_not_moved(stores: Stores, news: State) -> None:
    answered = replace(submitting(), state=news)
    await stores.operations.insert(submitting(), asked())
    await stores.operations.merge([answered])

    moved = await stores.operations.move(submitting(host="h2"), "h1", Lease("g1", 300.0))

    assert not moved
    assert await stores.operations.get("op-1") == answered


async def test_who_resolves_what_was_moved_changes_nothing(stores: Stores) -> None:
    await stores.operations.insert(submitting(), asked(key=KEY))
    await stores.operations.move(submitting(host="h2"), "h1", Lease("g1", 300.0))

    late = replace(submitting(), state=State.REJECTED)
    await stores.operations.reject(late, free_key=True)

    assert await stores.operations.find(KEY) == submitting(host="h2")


async def test_a_new_name_is_held_once_until_its_operation_ends(stores: Stores) -> None:
    await stores.operations.insert(submitting("op-1"), asked(new_name="Web"))
    await stores.operations.merge([an_operation("op-1", state=State.RUNNING, sequence=2)])

    with pytest.raises(InstanceExists):
        await stores.operations.insert(
            submitting("op-2", host="h2"), asked(key=KEY, new_name="Web")
        )
    for number, wanted in enumerate(({"new_name": "web"}, {}, {})):
        await stores.operations.insert(submitting(f"other-{number}"), asked(**wanted))
    await stores.operations.insert(submitting("op-3", project="shop"), asked(new_name="Web"))
    key_is_free = await stores.operations.find(KEY) is None
    await stores.operations.merge([an_operation("op-1", state=State.DONE, sequence=3)])
    again = await stores.operations.insert(submitting("op-4"), asked(new_name="Web"))

    assert key_is_free
    assert again.operation_id == "op-4"


async def test_a_name_that_is_asked_for_many_times_at_once_is_held_once(stores: Stores) -> None:
    wishes = [
        stores.operations.insert(submitting(f"op-{number}"), asked(new_name="Web"))
        for number in range(8)
    ]

    results = await asyncio.gather(*wishes, return_exceptions=True)

    refused = [result for result in results if isinstance(result, InstanceExists)]
    assert len(refused) == 7
    assert len(await stores.operations.list(OperationFilter())) == 1


async def test_an_operation_from_elsewhere_holds_no_name(stores: Stores) -> None:
    await stores.operations.insert(submitting("op-1"), asked(new_name="Web"))

    await stores.operations.merge([an_operation("op-2"), an_operation("op-3")])

    assert len(await stores.operations.list(OperationFilter())) == 3


async def test_merging_keeps_what_is_true_whatever_the_order(stores: Stores) -> None:
    running = an_operation(sequence=2)
    done = an_operation(state=State.DONE, sequence=5)
    late = an_operation(progress=50, sequence=4)

    await stores.operations.merge([running, done])
    await stores.operations.merge([late, done])

    assert await stores.operations.get("op-1") == done


async def test_merging_at_once_keeps_the_final_state(stores: Stores) -> None:
    await stores.operations.insert(submitting(), asked())
    news = [an_operation(sequence=number, progress=number) for number in range(1, 10)]
    news.insert(3, an_operation(state=State.DONE, sequence=10))

    await asyncio.gather(*(stores.operations.merge([copy]) for copy in news))

    stored = await stores.operations.get("op-1")
    assert stored is not None
    assert stored.state is State.DONE


async def test_the_newest_that_fit_are_listed(stores: Stores) -> None:
    for number in range(6):
        operation = submitting(
            f"op-{number}",
            host=f"h{number % 2}",
            project="shop" if number == 4 else "default",
            kind=Kind.STOP if number < 3 else Kind.START,
            created_at=f"2026-11-20T10:00:0{number}Z",
        )
        await stores.operations.insert(operation, asked(created=100.0 + number))

    async def ids(**wanted: object) -> list[str]:
        listed = await stores.operations.list(OperationFilter(**wanted))
        return [operation.operation_id for operation in listed]

    assert await ids(limit=2) == ["op-5", "op-4"]
    assert await ids(host="h1") == ["op-5", "op-3", "op-1"]
    assert await ids(host="h1", kind="stop") == ["op-1"]
    assert await ids(state="done") == []
    assert await ids(project="shop") == ["op-4"]
    assert len(await ids(instance="web", state="submitting")) == 6


async def test_a_state_that_has_changed_is_found_by_its_new_name(stores: Stores) -> None:
    await stores.operations.insert(submitting(), asked())

    await stores.operations.merge([an_operation(state=State.DONE, sequence=3)])

    assert len(await stores.operations.list(OperationFilter(state="done"))) == 1


@pytest.mark.parametrize(
    ("owner", "now", "free"), [("g1", 150.0, True), ("g2", 150.0, False), ("g2", 200.1, True)]
)
async def test_a_lease_keeps_other_gateways_away(
    stores: Stores, owner: str, now: float, free: bool
) -> None:
    await stores.operations.insert(submitting("op-1"), asked())
    await stores.operations.insert(an_operation("op-2"), asked())

    unresolved = await stores.operations.unresolved(owner, now)

    assert [operation.operation_id for operation in unresolved] == (["op-1"] if free else [])


async def test_purging_drops_what_is_old(stores: Stores) -> None:
    await stores.operations.insert(submitting("op-1"), asked(key=KEY, created=100.0))
    await stores.operations.insert(submitting("op-2"), asked(created=300.0))

    await stores.operations.purge(keys_before=150.0, operations_before=50.0)
    key_gone = await stores.operations.find(KEY)
    still = await stores.operations.list(OperationFilter())
    await stores.operations.purge(keys_before=150.0, operations_before=200.0)

    assert key_gone is None
    assert len(still) == 2
    (left,) = await stores.operations.list(OperationFilter())
    assert left.operation_id == "op-2"


async def test_the_place_in_a_hosts_history_is_remembered(stores: Stores) -> None:
    await stores.hosts.save([a_host()])
    page = [an_operation("op-1", sequence=4), an_operation("op-2", sequence=7)]

    unknown = await stores.operations.last_sequence("h1")
    await stores.operations.merge_page("h1", page, 7)
    await stores.hosts.save([a_host(epoch=4)])

    assert unknown == 0
    assert await stores.operations.last_sequence("h1") == 7
    assert await stores.operations.get("op-2") == page[1]


def of_snapshot(operation_id: str, kind: Kind, snapshot: str = "s1", said: str = "") -> Operation:
    return an_operation(
        operation_id,
        kind=kind,
        state=State.DONE,
        finished_at=f"2026-11-20T10:00:0{operation_id[-1]}Z",
        arguments=Arguments(snapshot=snapshot, description=said),
    )


async def notes(stores: Stores, uuid: str = "uuid-web") -> dict[str, str]:
    found = await stores.notes.of("h1", uuid)
    return {snapshot: note.description for snapshot, note in found.items()}


async def test_a_description_is_kept_with_the_outcome(stores: Stores) -> None:
    made = of_snapshot("op-1", Kind.SNAPSHOT, said="系统更新前")

    await stores.operations.merge([made, of_snapshot("op-2", Kind.SNAPSHOT, "s2")])

    assert await stores.notes.of("h1", "uuid-web") == {
        "s1": SnapshotNote("系统更新前", "2026-11-20T10:00:01Z")
    }
    assert await notes(stores, "another") == {}


async def test_only_what_was_done_is_noted(stores: Stores) -> None:
    made = of_snapshot("op-1", Kind.SNAPSHOT, said="x")

    await stores.operations.merge([replace(made, state=State.RUNNING)])
    await stores.operations.merge([replace(made, state=State.FAILED, sequence=2)])

    assert await notes(stores) == {}


async def test_the_same_outcome_again_brings_no_description_back(stores: Stores) -> None:
    made = of_snapshot("op-1", Kind.SNAPSHOT, said="x")
    await stores.operations.merge([made, of_snapshot("op-2", Kind.DELETE_SNAPSHOT)])

    await stores.operations.merge([made])

    assert await notes(stores) == {}


async def test_a_snapshot_that_is_made_anew_has_its_own_description(stores: Stores) -> None:
    outcomes = [
        of_snapshot("op-1", Kind.SNAPSHOT, said="old"),
        of_snapshot("op-2", Kind.DELETE_SNAPSHOT),
        of_snapshot("op-3", Kind.SNAPSHOT, said="new"),
    ]

    await stores.operations.merge(outcomes)

    assert await notes(stores) == {"s1": "new"}


async def test_a_deleted_instance_takes_its_descriptions_with_it(stores: Stores) -> None:
    made = [of_snapshot(f"op-{n}", Kind.SNAPSHOT, f"s{n}", "x") for n in (1, 2)]
    await stores.operations.merge(made)

    await stores.operations.merge([an_operation("op-3", kind=Kind.DELETE, state=State.DONE)])

    assert await notes(stores) == {}


async def test_hosts_are_read_back_as_they_were_saved_last(stores: Stores) -> None:
    first = a_host(
        instances=(an_instance(description="网站"),),
        inventory_at=15.5,
        change_times={"uuid-web": 12.5},
        duplicate_uuids=("uuid-copy",),
    )
    later = a_host(epoch=4, last_seen=99.5, instances=(), inventory_at=98.5)

    await stores.hosts.save([first, a_host("h2")])
    read = await stores.hosts.load()
    await stores.hosts.save([later])

    assert sorted(read, key=lambda host: host.host) == [first, a_host("h2")]
    assert later in await stores.hosts.load()


async def test_a_dropped_host_is_not_read_back(stores: Stores) -> None:
    await stores.hosts.save([a_host(), a_host("h2")])

    await stores.hosts.drop("h1")

    assert await stores.hosts.load() == [a_host("h2")]


async def test_a_dropped_host_takes_its_descriptions_with_it(database: Database) -> None:
    made = of_snapshot("op-1", Kind.SNAPSHOT, said="x")
    await SqlOperationStore(database).merge([made])

    await SqlHostStore(database).drop("h1")

    assert await SqlSnapshotNotes(database).of("h1", made.uuid) == {}


async def test_a_pin_stays_whoever_saves(database: Database) -> None:
    store = SqlHostStore(database)

    for fingerprint in ("", "f1", "f2", ""):
        await store.save([a_host(fingerprint=fingerprint)])

    (host,) = await store.load()
    assert host.fingerprint == "f1"


async def test_the_leases_of_a_file_end_with_the_process_that_held_it(
    database: Database,
) -> None:
    store = SqlOperationStore(database)
    await store.insert(submitting(), asked())

    await store.end_leases()

    assert len(await store.unresolved("g2", 150.0)) == 1


async def test_the_leases_of_a_shared_database_stay(postgresql: str) -> None:
    database = Database(fresh_database(postgresql))
    await database.migrate()
    store = SqlOperationStore(database)
    await store.insert(submitting(), asked())

    await store.end_leases()

    assert await store.unresolved("g2", 150.0) == []
    await database.close()


async def test_gateways_that_start_together_migrate_one_after_the_other(postgresql: str) -> None:
    url = fresh_database(postgresql)
    databases = [Database(url) for _ in range(3)]

    await asyncio.gather(*(database.migrate() for database in databases))

    assert [await answers(database) for database in databases] == [True, True, True]
    for database in databases:
        await database.close()


async def test_the_migrations_lead_to_the_schema_the_code_uses(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert await database.run(differences) == []


def of_release_two(operation: Operation) -> dict[str, object]:
    """Return the row of an operation as it was kept before its project had a column."""
    texts = ("principal", "address", "parent_id", "step", "lease_owner")
    return {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("sequence", "created", "lease_until"), 0),
        "id": operation.operation_id,
        "host": operation.host,
        "instance": operation.instance,
        "kind": operation.kind.value,
        "state": operation.state.value,
        "record": encode(operation).decode(),
    }


def upgrade(connection: sa.Connection, revision: str) -> None:
    """Bring an empty database to what a release had."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_operations_of_an_older_release_are_found_by_their_project(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    kept = [of_release_two(an_operation(each, project=each)) for each in ("default", "shop")]

    def begin(connection: sa.Connection) -> None:
        upgrade(connection, "0002")
        table = sa.table("operations", *map(sa.column, kept[0]))
        connection.execute(sa.insert(table), kept)

    await database.run(begin)
    await database.migrate()

    found = await SqlOperationStore(database).list(OperationFilter(project="shop"))
    assert [operation.operation_id for operation in found] == ["shop"]
    await database.close()


async def test_a_host_of_an_older_release_has_no_exchange_yet(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")

    def begin(connection: sa.Connection) -> None:
        upgrade(connection, "0004")
        columns = ("host", "fingerprint", "epoch", "first_seen", "last_seen")
        table = sa.table("hosts", *map(sa.column, columns))
        connection.execute(sa.insert(table), dict(zip(columns, ("h1", "f1", 3, 1, 2), strict=True)))

    await database.run(begin)
    await database.migrate()

    (host,) = await SqlHostStore(database).load()
    assert (host.fingerprint, host.exchange) == ("f1", "")
    await database.close()


async def test_the_exchange_of_a_host_is_the_one_that_was_learned_last(database: Database) -> None:
    store = SqlHostStore(database)

    for exchange in ("", "fleet.hosts.h1.a", "fleet.hosts.h1.b"):
        await store.save([a_host(exchange=exchange)])

    (host,) = await store.load()
    assert host.exchange == "fleet.hosts.h1.b"


async def test_migrating_again_keeps_what_is_there(database: Database) -> None:
    store = SqlHostStore(database)
    await store.save([a_host()])

    await database.migrate()

    assert await store.load() == [a_host()]


async def test_a_commit_survives_a_power_cut(database: Database) -> None:
    def modes(connection: sa.Connection) -> tuple[object, object]:
        asked = (sa.text("pragma journal_mode"), sa.text("pragma synchronous"))
        return tuple(connection.execute(pragma).scalar() for pragma in asked)

    assert await database.run(modes) == ("wal", 2)


async def test_nobody_else_reads_a_file_with_passwords_in_it(
    database: Database, tmp_path: Path
) -> None:
    await SqlHostStore(database).save([a_host()])

    files = list((tmp_path / "deep/folder").iterdir())
    assert len(files) == 3
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3


async def test_an_inventory_of_another_release_is_left_out(database: Database) -> None:
    store = SqlHostStore(database)
    await store.save([a_host(instances=(an_instance(),))])
    odd = sa.update(instances).values(record=b'{"shape": "new"}')
    await database.run(lambda connection: connection.execute(odd))

    assert await store.load() == [a_host()]


async def test_only_what_differs_is_written(database: Database) -> None:
    store = SqlHostStore(database)
    web, db, cache = (an_instance(name, uuid=name) for name in ("web", "db", "cache"))
    await store.save([a_host(instances=(web, db, cache), change_times={"web": 1.5})])
    stopped = an_instance("db", uuid="db", status="Stopped")

    # What is written now shows in rows that were marked before.
    mark = sa.update(instances).values(record=b"marked")
    await database.run(lambda connection: connection.execute(mark))
    await store.save([a_host(instances=(web, stopped), change_times={"web": 1.5, "db": 2.5})])

    rows = await database.run(lambda connection: connection.execute(sa.select(instances)).all())
    assert {row.name: row.record == b"marked" for row in rows} == {"web": True, "db": False}


async def test_what_was_read_at_the_start_is_not_written_again(database: Database) -> None:
    told = a_host(instances=(an_instance(),))
    await SqlHostStore(database).save([told])
    store = SqlHostStore(database)
    loaded = await store.load()

    gone = sa.delete(instances)
    await database.run(lambda connection: connection.execute(gone))
    await store.save([told])

    rows = await database.run(lambda connection: connection.execute(sa.select(instances)).all())
    assert (loaded, rows) == ([told], [])


async def test_a_host_that_another_gateway_has_dropped_is_written_whole(database: Database) -> None:
    store = SqlHostStore(database)
    told = a_host(instances=(an_instance(),))
    await store.save([told])
    await SqlHostStore(database).drop("h1")

    await store.save([told])

    assert await store.load() == [told]


async def test_what_could_not_be_written_is_written_the_next_time(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    store = SqlHostStore(database)
    told = a_host(instances=(an_instance(),))
    with pytest.raises(DatabaseUnavailable):
        await store.save([told])

    await database.migrate()
    await store.save([told])

    assert await store.load() == [told]
    await database.close()


async def test_an_inventory_of_an_older_release_is_read_from_rows(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    told = [an_instance("web", uuid="u1"), an_instance("db", uuid="u2", project="shop")]
    kept = {
        "h1": {"inventory": msgspec.json.encode(told), "changes": b'{"u2": 7.5}'},
        "h2": {"inventory": b"[[[[", "changes": None},
    }

    def begin(connection: sa.Connection) -> None:
        upgrade(connection, "0005")
        plain = {"fingerprint": "f1", "epoch": 3, "first_seen": 10.5, "last_seen": 20.5}
        rows = [{"host": host, **plain, **more} for host, more in kept.items()]
        connection.execute(sa.insert(sa.table("hosts", *map(sa.column, rows[0]))), rows)

    await database.run(begin)
    await database.migrate()

    read = {host.host: host for host in await SqlHostStore(database).load()}
    assert sorted(read["h1"].instances, key=attrgetter("uuid")) == told
    assert read["h1"].change_times == {"u2": 7.5}
    assert read["h2"] == a_host("h2")
    await database.close()


async def test_creations_are_those_that_gateways_have_submitted(stores: Stores) -> None:
    store = stores.operations
    states = {"new": State.SUBMITTING, "old": State.DONE, "made": State.DONE, "bad": State.FAILED}
    for number, (operation_id, state) in enumerate(states.items()):
        begun = submitting(operation_id, kind=Kind.CREATE)
        await store.insert(begun, asked(created=100.0 if operation_id == "old" else 200.0 + number))
        if state is not State.SUBMITTING:
            await store.merge([an_operation(operation_id, kind=Kind.CREATE, state=state)])
    await store.insert(submitting("start"), asked(created=200.0))
    await store.merge([an_operation("invented", kind=Kind.CREATE)])

    found = await store.creations(150.0)

    assert {operation.operation_id for operation in found} == {"new", "made"}


async def store_creations(store: OperationStore) -> None:
    """Store a creation in each state that says what became of it, and a start that failed."""
    for state in (State.SUBMITTING, State.DONE, State.UNKNOWN, State.REJECTED):
        await store.insert(submitting(state.value, kind=Kind.CREATE), asked())
    for state in (State.DONE, State.UNKNOWN):
        await store.merge([an_operation(state.value, kind=Kind.CREATE, state=state)])
    rejected = an_operation("rejected", kind=Kind.CREATE, state=State.REJECTED, sequence=0)
    await store.reject(rejected, free_key=False)
    await store.merge_page("h1", [an_operation("failed", kind=Kind.CREATE, state=State.FAILED)], 9)
    await store.merge([an_operation("start", state=State.FAILED)])


FAILED_CREATIONS = ("submitting", "unknown", "rejected", "failed")


async def test_no_creation_that_may_have_failed_is_denied(stores: Stores) -> None:
    store = stores.operations
    if isinstance(store, SqlOperationStore):
        await store.load_creations()

    await store_creations(store)

    assert all(map(store.may_hold_creation, FAILED_CREATIONS))


async def test_after_a_restart_only_what_is_stored_may_be_a_creation(database: Database) -> None:
    before = SqlOperationStore(database)
    await store_creations(before)

    store = SqlOperationStore(database)
    unread = store.may_hold_creation("nobody")
    await store.load_creations()

    ids = ("nobody", "start", "done", *FAILED_CREATIONS)
    assert unread
    assert [each for each in ids if store.may_hold_creation(each)] == list(FAILED_CREATIONS)


async def test_a_purged_creation_is_not_asked_for_any_more(database: Database) -> None:
    store = SqlOperationStore(database)
    await store.load_creations()
    await store_creations(store)

    await store.purge(keys_before=1e12, operations_before=1e12)

    assert not any(map(store.may_hold_creation, FAILED_CREATIONS))


async def test_what_another_gateway_stores_may_always_be_there(postgresql: str) -> None:
    database = Database(fresh_database(postgresql))
    await database.migrate()
    store, other = SqlOperationStore(database), SqlOperationStore(database)
    await store.load_creations()

    await store_creations(other)

    assert all(map(store.may_hold_creation, FAILED_CREATIONS))
    await database.close()


async def test_with_too_many_creations_the_database_is_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.persistence.creation_index.MOST", 3)
    store = SqlOperationStore(database)
    await store.load_creations()

    await store_creations(store)
    over_while_running = store.may_hold_creation("nobody")
    await store.load_creations()

    assert (over_while_running, store.may_hold_creation("nobody")) == (True, True)


@pytest.mark.attack
@pytest.mark.parametrize("column", ["record", "copies"])
@pytest.mark.parametrize("kept", [b"\xff", b"[[[[", b"7", b'"' + b"9" * 5000, b"[" * 100_000])
async def test_what_one_host_cannot_have_read_back_costs_no_other(
    database: Database, column: str, kept: bytes
) -> None:
    store = SqlHostStore(database)
    both = [a_host(host, instances=(an_instance(),)) for host in ("h1", "h2")]
    await store.save(both)
    table = instances if column == "record" else hosts
    odd = sa.update(table).where(table.c.host == "h1").values({column: kept})
    await database.run(lambda connection: connection.execute(odd))

    read = sorted(await store.load(), key=lambda host: host.host)

    assert read == [a_host("h1") if column == "record" else both[0], both[1]]


@pytest.mark.attack
async def test_one_operation_that_cannot_be_read_costs_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqlOperationStore(database)
    for operation_id in ("op-1", "op-2"):
        await store.insert(submitting(operation_id), asked())
    odd = sa.update(operations).where(operations.c.id == "op-1").values(record='{"shape": "new"}')
    await database.run(lambda connection: connection.execute(odd))

    listed = [await store.list(OperationFilter()) for _ in range(3)]
    unresolved = await store.unresolved("g1", 1e12)

    assert [[each.operation_id for each in once] for once in listed] == [["op-2"]] * 3
    assert [each.operation_id for each in unresolved] == ["op-2"]
    assert [record.msg for record in caplog.records] == ["stored operation unreadable"]


async def test_no_log_tells_what_was_to_be_kept(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.run(lambda connection: connection.exec_driver_sql("drop table hosts"))

    with pytest.raises(DatabaseUnavailable):
        await SqlHostStore(database).save(
            [a_host(instances=(an_instance(description="web 20001 password123"),))]
        )

    assert "database" in caplog.text
    assert "password123" not in caplog.text


async def test_a_database_that_somebody_locks_is_unavailable_and_then_well_again(
    database: Database, tmp_path: Path
) -> None:
    await database.run(lambda c: c.exec_driver_sql("pragma busy_timeout=50"))
    locker = sqlite3.connect(tmp_path / "deep/folder/gateway.db", isolation_level=None)
    locker.execute("begin immediate")

    while_locked = await answers(database)
    with pytest.raises(DatabaseUnavailable):
        await SqlHostStore(database).save([a_host()])
    locker.close()

    assert not while_locked
    assert await answers(database)


async def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}")

    with pytest.raises(DatabaseUnavailable):
        await database.migrate()

    await database.close()


async def test_a_number_that_no_database_can_keep_is_unreadable(database: Database) -> None:
    with pytest.raises(UnreadableMessage):
        await SqlOperationStore(database).merge([an_operation(sequence=2**70)])
