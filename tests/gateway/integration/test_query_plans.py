"""The gateway's tables hold what whole fleets have done: no query may read one of them whole."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from services.gateway.fleet.host_state import StoredHost
from services.gateway.operations.store import IdempotencyKey, Lease, OperationFilter, StoredRequest
from services.gateway.persistence import database as adapter
from services.gateway.persistence.database import Database
from services.gateway.persistence.host_store import SqlHostStore
from services.gateway.persistence.operation_store import SqlOperationStore
from services.gateway.persistence.retention import OperationRetention
from services.gateway.persistence.snapshot_notes import SqlSnapshotNotes
from services.gateway.persistence.tables import metadata
from shared.contracts.operations import Kind, State
from tests.support.builders import an_operation
from tests.support.query_plans import Called, QueryPlans

GROWING = ("operations", "idempotency_keys", "snapshot_notes")
# Those that are too many are counted by the index of their times alone, now and then.
COUNTS_KEYS = "DELETE FROM idempotency_keys WHERE idempotency_keys.created <="
KEY = IdempotencyKey("admin", "k1", "body-1")
LEASE = Lease("g1", 200.0)
FILTERS: dict[str, Any] = {
    "host": "h1",
    "project": "default",
    "instance": "web",
    "state": State.DONE,
    "kind": Kind.START,
}


async def use_operations(store: Any) -> None:
    submitting = an_operation("op-1", state=State.SUBMITTING, sequence=0)
    await store.insert(submitting, StoredRequest("127.0.0.1", 100.0, LEASE, KEY))
    await store.find(KEY)
    await store.move(submitting, "h1", LEASE)
    await store.merge([an_operation("op-1"), an_operation("op-2")])
    await store.merge_page("h1", [an_operation("op-3")], 5)
    await store.last_sequence("h1")
    await store.reject(submitting, free_key=True)
    await store.get("op-1")
    for size in range(len(FILTERS) + 1):
        for names in combinations(FILTERS, size):
            await store.list(OperationFilter(**{name: FILTERS[name] for name in names}))
    await store.unresolved("g1", 1.0)
    await store.creations(5.0)
    await store.load_creations()
    store.may_hold_creation("op-1")
    await store.end_leases()
    await store.purge(keys_before=1.0, operations_before=1.0)


async def use_hosts(store: Any) -> None:
    await store.save([StoredHost("h1", "f1", 3, 10.5, 20.5)])
    await store.load()
    await store.drop("h1")


async def test_no_query_of_the_stores_reads_a_whole_table(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    await database.migrate()
    plans = QueryPlans(database._sql._engine, metadata)
    kept = Called(SqlOperationStore(database, OperationRetention(operations=0)))
    hosts, notes = Called(SqlHostStore(database)), Called(SqlSnapshotNotes(database))

    await use_operations(kept)
    await use_hosts(hosts)
    await notes.of("h1", "u")
    await adapter.answers(database)
    await database.close()

    assert [store.unused() for store in (kept, hosts, notes)] == [set()] * 3
    scans = plans.scans(GROWING)
    assert {one: how for one, how in scans.items() if not _counts_keys(one)} == {}


def _counts_keys(statement: str) -> bool:
    return " ".join(statement.split()).startswith(COUNTS_KEYS)
