"""The journal holds weeks of operations: no step of an operation may read them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from services.lxd_worker.journal import database as adapter
from services.lxd_worker.journal.database import open_database
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.journal.tables import metadata
from services.lxd_worker.transitions.steps import Step
from shared.contracts.operations import Arguments, Kind, State
from tests.support.builders import AT, a_submission
from tests.support.lxd_worker.journal import here
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.wire import Omissions
from tests.support.query_plans import Called, QueryPlans

GROWING = ("operations", "tombstones")


def an_entry(operation_id: str, kind: Kind, instance: str, **arguments: Any) -> JournalEntry:
    order = a_submission(kind, instance, Arguments(**arguments), operation_id=operation_id)
    return JournalEntry.accept(order, AT)


def use_all(journal: Any) -> None:
    accepted = journal.accept(an_entry("op-1", Kind.CREATE, "web"), "h1", 10).entry
    journal.accept(an_entry("op-2", Kind.START, "web"), "h1", 10)
    journal.accept(an_entry("op-3", Kind.RENAME, "db", new_name="db2"), "h1", 10)
    journal.advance("op-1", lambda one: one.begin(Step.CREATE, observation(), "then"))
    journal.advance("op-1", lambda one: one.finish(State.DONE, "then"))
    journal.find("op-1")
    journal.find_each(["op-1", "op-9"])
    journal.resolve("op-9", 5.0)
    journal.since(0, 10)
    journal.unfinished()
    journal.holder("default", "web")
    journal.follower(accepted.operation)
    journal.unconfirmed(10)
    journal.confirm("op-1", 5)
    journal.prune(9e9)
    assert journal.length == 2
    journal.close()


def test_no_query_of_the_journal_reads_a_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[Engine] = []

    def opened_here(file: Path) -> Engine:
        engines.append(open_database(file))
        return engines[-1]

    monkeypatch.setattr(adapter, "open_database", opened_here)
    # Opened twice: what is asked at the start alone may be asked of all.
    SqlJournal(tmp_path / "journal.db", here, Omissions()).close()
    journal = Called(SqlJournal(tmp_path / "journal.db", here, Omissions()))
    plans = QueryPlans(engines[-1], metadata)

    use_all(journal)

    assert journal.unused() == set()
    assert plans.scans(GROWING) == {}


def test_a_plan_that_reads_a_whole_table_is_found(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "any.db")
    with engine.begin() as connection:
        metadata.create_all(connection)
    plans = QueryPlans(engine, metadata)

    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM operations WHERE NOT final AND instance = 'web'")

    (steps,) = plans.scans(GROWING).values()
    assert steps == ["SCAN operations"]
    engine.dispose()
