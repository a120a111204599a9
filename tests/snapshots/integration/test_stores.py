"""The stores on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from services.snapshots.hosts.record import HostRecord
from services.snapshots.persistence import database as databases
from services.snapshots.persistence import policy_store, tables
from services.snapshots.persistence.database import Database
from services.snapshots.persistence.lease import LeaseLost, PlanLease
from services.snapshots.persistence.plan_store import SqlPlans
from services.snapshots.persistence.policy_store import PolicyTable, SqlPolicies
from services.snapshots.persistence.run_store import SqlRuns
from services.snapshots.persistence.tables import metadata
from services.snapshots.policies.service import CentralPolicies
from shared.contracts.errors import (
    DatabaseUnavailable,
    InvalidInput,
    PolicyExists,
    UnreadableMessage,
)
from shared.contracts.policies import PolicyRun, RunState
from shared.contracts.policy_api import RunQuery
from tests.support.polling import wait_until
from tests.support.postgresql import fresh_database
from tests.support.query_plans import QueryPlans
from tests.support.snapshots import a_policy, a_run

DIGEST = "d" * 64
# After all slots of these tests.
NOW = datetime(2026, 11, 30, tzinfo=UTC).timestamp()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/snapshots.db"
    return fresh_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    opened.migrate()
    yield opened
    opened.close()


def test_the_migrations_lead_to_the_schema_the_code_uses(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert database.run(differences) == []


def test_migrating_again_keeps_what_is_there(database: Database) -> None:
    store = SqlPolicies(database)
    store.change(lambda policies: policies.put(a_policy()))

    database.migrate()

    assert store.read(lambda policies: policies.all()) == [a_policy()]


def test_policies_are_found_by_id_and_name_and_listed_by_name(database: Database) -> None:
    store = SqlPolicies(database)
    for name in ("nightly", "hourly"):
        store.change(lambda policies, name=name: policies.put(a_policy(name)))

    listed = store.read(lambda policies: policies.all())
    assert [each.name for each in listed] == ["hourly", "nightly"]
    assert store.read(lambda policies: policies.find("id-hourly")) == a_policy("hourly")
    assert store.read(lambda policies: policies.id_of("nightly")) == "id-nightly"
    assert store.read(lambda policies: policies.count()) == 2
    assert store.change(lambda policies: policies.remove("id-hourly"))
    assert not store.change(lambda policies: policies.remove("id-hourly"))
    assert store.read(lambda policies: policies.find("id-hourly")) is None


def test_a_change_that_fails_leaves_policies_and_their_number_of_changes(
    database: Database,
) -> None:
    store, plans = SqlPolicies(database), SqlPlans(database, PlanLease(database, "a", 10.0))
    store.change(lambda policies: policies.put(a_policy()))

    def fail(policies: PolicyTable) -> None:
        policies.remove("id-nightly")
        raise InvalidInput("x", "y")

    with pytest.raises(InvalidInput):
        store.change(fail)

    assert plans.policies() == (1, [a_policy()])


def test_a_policy_that_only_a_newer_copy_can_read_costs_no_other(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_store, "_logged", set())
    store, plans = SqlPolicies(database), SqlPlans(database, PlanLease(database, "a", 10.0))
    service = CentralPolicies(store, lambda: None)
    service.create(a_policy())
    newer = service.create(a_policy("newer"))
    unknown = sa.func.replace(tables.policies.c.record, "restic", "gfs")
    rewrite = sa.update(tables.policies).where(tables.policies.c.id == newer.id)
    database.run(lambda connection: connection.execute(rewrite.values(record=unknown)))

    for _ in range(3):
        assert plans.policies() == (2, [a_policy()])
    assert service.policies().policies == [a_policy()]

    assert [each.policy_id for each in caplog.records if hasattr(each, "policy_id")] == [newer.id]
    with pytest.raises(UnreadableMessage):
        service.update(newer)
    with pytest.raises(PolicyExists):
        service.create(a_policy("newer", id="another"))
    assert service.update(a_policy(description="changed")).revision == 2
    service.delete(newer.id, 0)
    assert service.create(a_policy("newer", id="another")).name == "newer"


def test_one_owner_at_a_time_has_the_lease(database: Database) -> None:
    first, second = (PlanLease(database, name, 10.0) for name in "ab")

    assert first.hold()
    assert not second.hold()
    assert first.hold()

    first.release()
    assert second.hold()
    assert not first.hold()


def test_a_lease_that_is_not_renewed_ends(database: Database) -> None:
    first, second = PlanLease(database, "a", 0.2), PlanLease(database, "b", 10.0)
    assert first.hold()
    assert not second.hold()

    wait_until(second.hold, within_s=5)

    with pytest.raises(LeaseLost):
        database.run(first.require)
    database.run(second.require)


def test_a_lease_from_before_the_clock_was_put_back_holds_nobody_up(database: Database) -> None:
    assert PlanLease(database, "a", 1e6).hold()

    assert PlanLease(database, "b", 10.0).hold()


def a_host(host: str = "h1", **changes: object) -> HostRecord:
    return HostRecord(host, f"exchange-{host}", 1.0, **changes)


def test_only_the_owner_of_the_lease_writes_plans_and_hosts(database: Database) -> None:
    owner, other = (SqlPlans(database, PlanLease(database, name, 10.0)) for name in "ab")
    assert PlanLease(database, "a", 10.0).hold()
    owner.save([a_host()])

    for write in (
        lambda: other.save([a_host("h2")]),
        lambda: other.issue({"h1": DIGEST}, {}, 0),
        lambda: other.forget(["h1"]),
    ):
        with pytest.raises(LeaseLost):
            write()

    assert other.hosts() == [a_host()]


@pytest.fixture
def plans(database: Database) -> SqlPlans:
    lease = PlanLease(database, "a", 60.0)
    assert lease.hold()
    return SqlPlans(database, lease)


def test_versions_grow_over_all_hosts_and_are_stored(plans: SqlPlans) -> None:
    plans.save([a_host("h1"), a_host("h2")])

    first = plans.issue({"h1": DIGEST, "h2": DIGEST}, {}, least=1000)
    second = plans.issue({"h2": "e" * 64}, {"h2": 5000}, least=900)
    third = plans.issue({"h1": "f" * 64}, {}, least=900)

    assert (first, second, third) == ({"h1": 1000, "h2": 1001}, {"h2": 5001}, {"h1": 1003})
    stored = {each.host: (each.plan_version, each.digest) for each in plans.hosts()}
    assert stored == {"h1": (1003, "f" * 64), "h2": (5001, "e" * 64)}


def test_saving_a_host_leaves_the_plan_that_it_is_to_have(plans: SqlPlans) -> None:
    plans.save([a_host()])
    plans.issue({"h1": DIGEST}, {}, least=1000)

    plans.save([a_host(carried_version=3, clock_trusted=True, runs_sequence=9)])

    [stored] = plans.hosts()
    assert (stored.plan_version, stored.digest) == (1000, DIGEST)
    assert (stored.carried_version, stored.clock_trusted, stored.runs_sequence) == (3, True, 9)


@pytest.fixture
def runs(database: Database) -> SqlRuns:
    return SqlRuns(database)


def hours(*numbers: int) -> list[tuple[str, PolicyRun]]:
    """Return runs of h1 at these hours."""
    return [("h1", a_run(number + 1, f"2026-11-29T{number:02}:00:00Z")) for number in numbers]


def listed(runs: SqlRuns, **query: object) -> list[int]:
    return [each.run.sequence for each in runs.page(RunQuery(**query)).runs]


def test_a_later_change_replaces_an_earlier_one_in_whatever_order_they_come(
    runs: SqlRuns,
) -> None:
    running, taken = a_run(1, state=RunState.RUNNING), a_run(2)

    runs.record([("h1", running)], NOW + 1)
    runs.record([("h1", taken), ("h1", running), ("h1", taken)], NOW + 2)
    runs.record([("h1", running)], NOW + 3)

    assert [each.run for each in runs.page(RunQuery()).runs] == [taken]
    assert runs.sequences("h1", [taken.operation_id, "another"]) == {taken.operation_id: 2}
    assert runs.sequences("h2", [taken.operation_id]) == {}


def test_runs_are_listed_from_the_newest_slot_by_each_filter(runs: SqlRuns) -> None:
    runs.record(hours(3, 1, 2), NOW + 1)
    runs.record([("h2", a_run(9, uuid="u2", policy_id="p2", state=RunState.FAILED))], NOW + 1)

    assert listed(runs, host="h1") == [4, 3, 2]
    assert listed(runs, policy_id="p2") == [9]
    assert listed(runs, uuid="u2") == [9]
    assert listed(runs, state=RunState.FAILED) == [9]
    assert listed(runs, host="h1", state=RunState.FAILED) == []


def test_pages_have_each_run_once_while_new_ones_come(runs: SqlRuns) -> None:
    runs.record(hours(*range(5)), NOW + 1)
    first = runs.page(RunQuery(limit=2))
    runs.record(hours(7), NOW + 2)

    second = runs.page(RunQuery(limit=2, before=first.cursor))
    third = runs.page(RunQuery(limit=2, before=second.cursor))

    pages = [[each.run.sequence for each in page.runs] for page in (first, second, third)]
    assert pages == [[5, 4], [3, 2], [1]]
    assert third.cursor == ""


def test_a_run_that_cannot_be_read_back_costs_no_other(database: Database, runs: SqlRuns) -> None:
    runs.record(hours(1, 2, 3), NOW + 1)
    spoilt = sa.update(tables.runs).where(tables.runs.c.sequence == 3).values(record="{")
    database.run(lambda connection: connection.execute(spoilt))

    first = runs.page(RunQuery(limit=2))
    second = runs.page(RunQuery(limit=2, before=first.cursor))

    assert [each.run.sequence for each in (*first.runs, *second.runs)] == [4, 2]


@pytest.mark.attack
def test_a_host_with_slots_in_the_future_has_no_more_of_the_history_than_others(
    runs: SqlRuns,
) -> None:
    forged = [
        a_run(n, f"9999-12-31T{n // 60:02}:{n % 60:02}:00Z", operation_id=f"op-{n}")
        for n in range(1, 201)
    ]
    runs.record([("evil", run) for run in forged], NOW)
    runs.record([("h1", a_run(7, "2026-11-30T00:00:30Z"))], NOW + 31)

    first = runs.page(RunQuery(limit=100))

    assert (first.runs[0].host, first.runs[0].run.sequence) == ("h1", 7)
    # It is shown as it was reported.
    assert first.runs[1].run.slot.startswith("9999-12-31")
    of_instance = runs.page(RunQuery(host="h1", uuid="uuid-web"))
    assert [each.host for each in of_instance.runs] == ["h1"]


@pytest.mark.parametrize("cursor", ["x", "a b", "a b c d"])
def test_a_cursor_that_is_none_is_refused(runs: SqlRuns, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="before"):
        runs.page(RunQuery(before=cursor))


def test_old_runs_go_by_our_clock_and_too_many_by_their_slots(runs: SqlRuns) -> None:
    runs.record(hours(5, 6), NOW + 1)
    runs.record(hours(1, 2, 3), NOW + 10)

    assert runs.purge(before=NOW + 5) == 2
    assert runs.purge(before=NOW + 5) == 0
    assert listed(runs) == [4, 3, 2]
    assert runs.prune("h1", most=2) == 1
    assert runs.prune("h2", most=0) == 0
    assert listed(runs) == [4, 3]


def test_forgetting_a_host_takes_its_runs_and_no_other(plans: SqlPlans, runs: SqlRuns) -> None:
    plans.save([a_host("h1"), a_host("h2")])
    runs.record([*hours(1), ("h2", a_run(9))], NOW + 1)

    plans.forget(["h1"])

    assert [each.host for each in plans.hosts()] == ["h2"]
    assert listed(runs) == [9]


def test_no_query_reads_all_runs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/snapshots.db")
    database.migrate()
    runs = SqlRuns(database)
    plans = QueryPlans(database._sql._engine, metadata)
    for query in (
        RunQuery(),
        RunQuery(host="h1"),
        RunQuery(policy_id="p"),
        RunQuery(uuid="u"),
        RunQuery(state=RunState.FAILED),
        RunQuery(host="h1", before="2026-11-29T03:00:00Z h1 x"),
    ):
        runs.page(query)
    runs.purge(1.0)
    runs.prune("h1", 10)
    runs.sequences("h1", ["x"])

    database.close()
    # Deletes of old and surplus rows end at a limit, in the order of an index.
    assert plans.scans(["runs"]) == {}


def test_a_database_that_is_away_fails_at_once_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    calls: list[int] = []
    with pytest.raises(DatabaseUnavailable):
        database.run(lambda connection: calls.append(1))
    monkeypatch.setattr(database._sql, "transaction", lambda work: calls.append(2))

    with pytest.raises(DatabaseUnavailable):
        database.run(lambda connection: None)
    assert calls == []
    monkeypatch.setattr(databases, "FAIL_FAST_S", 0.0)
    database.run(lambda connection: None)
    assert calls == [2]
