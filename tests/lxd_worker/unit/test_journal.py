"""What a journal promises, held against the real one and the fake that other tests use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.lxd_worker.journal.entry import JournalEntry, Outcome
from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    DatabaseUnavailable,
    HostBusy,
    LxdRefused,
    OperationInProgress,
    OperationNotFound,
    OperationRefused,
)
from shared.contracts.operations import Arguments, Kind, State
from tests.support.builders import AT, a_submission
from tests.support.lxd_worker.journal import here
from tests.support.lxd_worker.observations import described, observation
from tests.support.lxd_worker.wire import Omissions

FAR_FUTURE = 9e9


def entry(operation_id: str = "op-1", instance: str = "web", at: str = AT) -> JournalEntry:
    return JournalEntry.accept(a_submission(Kind.DELETE, instance, operation_id=operation_id), at)


def rename(operation_id: str, instance: str, new_name: str) -> JournalEntry:
    renaming = entry(operation_id, instance)
    arguments = Arguments(new_name=new_name)
    return replace(
        renaming,
        operation=replace(renaming.operation, kind=Kind.RENAME, arguments=arguments),
    )


def accept(journal: Journal, one: JournalEntry, limit: int = 10) -> JournalEntry:
    return journal.accept(one, "h1", limit).entry


def end(one: JournalEntry) -> JournalEntry:
    return one.finish(State.DONE, "2026-11-20T10:01:00Z")


def test_an_accepted_operation_is_found_with_everything_in_it(journal: Journal) -> None:
    def rich(one: JournalEntry) -> JournalEntry:
        begun = one.begin(Step.FORCE_STOP, observation("Frozen"), "2026-11-20T10:01:00Z")
        after = described("web", observation("Stopped"), revision=4)
        refused = LxdRefused("no")
        handed_over = begun.hand_over("lxd-1")
        outcome = Outcome(error=refused, after=after, after_epoch=2)
        return handed_over.finish(State.FAILED, "2026-11-20T10:02:00Z", outcome)

    accept(journal, entry())
    changed = journal.advance("op-1", rich)

    assert journal.find("op-1") == changed
    assert changed == replace(rich(entry()), operation=changed.operation)


def test_the_same_id_is_accepted_once(journal: Journal) -> None:
    first = journal.accept(entry(), "h1", 10)
    again = journal.accept(entry(at="2026-11-20T11:00:00Z"), "h1", 10)

    assert (first.fresh, again.fresh) == (True, False)
    assert again.entry == first.entry
    assert journal.length == 1


def test_an_unfinished_operation_is_the_lock_on_its_instance(journal: Journal) -> None:
    accept(journal, entry("op-1"))

    with pytest.raises(OperationInProgress) as refusal:
        accept(journal, entry("op-2"))

    assert refusal.value.operation_id == "op-1"
    assert journal.find("op-2") is None


def test_the_lock_ends_with_the_operation(journal: Journal) -> None:
    accept(journal, entry("op-1"))
    journal.advance("op-1", end)

    assert accept(journal, entry("op-2")).operation.state is State.ACCEPTED


def test_no_more_than_so_many_are_unfinished(journal: Journal) -> None:
    accept(journal, entry("op-1", "web"), limit=1)

    with pytest.raises(HostBusy):
        accept(journal, entry("op-2", "db"), limit=1)


def test_a_tombstone_keeps_its_id_out(journal: Journal) -> None:
    assert journal.resolve("op-1", at=5.0) is None
    assert journal.resolve("op-1", at=6.0) is None

    with pytest.raises(OperationRefused):
        accept(journal, entry("op-1"))

    assert journal.find("op-1") is None


def test_resolving_a_known_operation_buries_nothing(journal: Journal) -> None:
    accepted = accept(journal, entry())

    assert journal.resolve("op-1", at=5.0) == accepted


def test_every_change_gets_the_next_sequence_over_all_operations(journal: Journal) -> None:
    sequences = [
        accept(journal, entry("op-1", "web")),
        accept(journal, entry("op-2", "db")),
        journal.advance("op-1", end),
        journal.advance("op-2", end),
    ]

    assert [one.operation.sequence for one in sequences] == [1, 2, 3, 4]


def test_a_change_that_changes_nothing_is_not_written(journal: Journal) -> None:
    accept(journal, entry())
    journal.advance("op-1", end)

    again = journal.advance("op-1", end)

    assert again.operation.sequence == 2


def test_an_unknown_operation_cannot_be_changed(journal: Journal) -> None:
    with pytest.raises(OperationNotFound):
        journal.advance("op-1", end)


def test_changes_since_a_sequence_come_in_their_order(journal: Journal) -> None:
    accept(journal, entry("op-1", "web"))
    accept(journal, entry("op-2", "db"))
    journal.advance("op-1", end)

    ids = [one.operation_id for one in journal.since(0, limit=10)]

    assert ids == ["op-2", "op-1"]
    assert [one.operation_id for one in journal.since(0, limit=1)] == ["op-2"]
    assert journal.since(3, limit=10) == []


@pytest.mark.parametrize(("most_bytes", "expected"), [(1, 1), (1000, 2), (10**6, 4)])
def test_of_changes_come_as_many_as_have_so_many_bytes_and_one_at_the_least(
    journal: Journal, most_bytes: int, expected: int
) -> None:
    for number in range(4):
        accept(journal, rename(f"op-{number}", f"i{number}", "n" * 60 + str(number)))

    found = journal.since(0, limit=10, most_bytes=most_bytes)
    rest = journal.since(found[-1].sequence, limit=10)

    assert [one.operation_id for one in [*found, *rest]] == [f"op-{n}" for n in range(4)]
    assert len(found) == expected


def test_unfinished_operations_come_in_the_order_of_their_acceptance(journal: Journal) -> None:
    accept(journal, entry("op-1", "web", at="2026-11-20T10:00:00Z"))
    accept(journal, entry("op-2", "db", at="2026-11-20T10:01:00Z"))
    accept(journal, entry("op-3", "mail", at="2026-11-20T10:02:00Z"))
    journal.advance("op-2", end)
    journal.advance("op-1", lambda one: one.start("2026-11-20T10:03:00Z"))

    assert [one.operation.operation_id for one in journal.unfinished()] == ["op-1", "op-3"]


def test_what_the_broker_has_not_confirmed_stays_to_be_sent(journal: Journal) -> None:
    accept(journal, entry("op-1", "web"))
    accept(journal, entry("op-2", "db"))
    journal.confirm("op-1", 1)

    assert [one.operation_id for one in journal.unconfirmed(10)] == ["op-2"]


def test_a_change_after_the_confirmed_one_is_still_to_be_sent(journal: Journal) -> None:
    accept(journal, entry())
    journal.advance("op-1", end)

    journal.confirm("op-1", 1)

    assert [one.sequence for one in journal.unconfirmed(10)] == [2]


def test_only_what_ended_and_was_confirmed_is_forgotten(journal: Journal) -> None:
    for number, instance in enumerate(("web", "db", "mail")):
        accept(journal, entry(f"op-{number}", instance))
    for operation_id in ("op-0", "op-1"):
        journal.advance(operation_id, end)
    journal.confirm("op-0", 4)
    journal.confirm("op-2", 3)

    forgotten = journal.prune(before=FAR_FUTURE)

    assert forgotten == 1
    assert journal.find("op-0") is None
    assert journal.length == 2


def test_what_is_younger_than_the_limit_is_kept(journal: Journal) -> None:
    accept(journal, entry())
    ended = journal.advance("op-1", end)
    journal.confirm("op-1", ended.operation.sequence)
    journal.resolve("op-2", at=500.0)

    assert journal.prune(before=400.0) == 0
    with pytest.raises(OperationRefused):
        accept(journal, entry("op-2"))


def test_an_old_tombstone_is_forgotten(journal: Journal) -> None:
    journal.resolve("op-1", at=500.0)

    journal.prune(before=501.0)

    assert accept(journal, entry("op-1")).operation.state is State.ACCEPTED


def test_a_sequence_never_comes_again_even_when_all_is_forgotten(journal: Journal) -> None:
    accept(journal, entry("op-1"))
    journal.advance("op-1", end)
    journal.confirm("op-1", 2)
    journal.prune(before=FAR_FUTURE)

    assert accept(journal, entry("op-2")).operation.sequence == 3


def test_a_journal_that_is_opened_again_knows_everything(tmp_path: Path) -> None:
    first = SqlJournal(tmp_path / "journal.db", here, Omissions())
    accept(first, entry())
    first.resolve("op-2", at=5.0)
    first.close()

    second = SqlJournal(tmp_path / "journal.db", here, Omissions())

    assert [one.operation.operation_id for one in second.unfinished()] == ["op-1"]
    assert second.length == 1
    with pytest.raises(OperationRefused):
        accept(second, entry("op-2", "db"))
    second.close()


def test_a_write_returns_when_it_is_on_the_disk(tmp_path: Path) -> None:
    full = 2
    journal = SqlJournal(tmp_path / "journal.db", here, Omissions())

    with journal.database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == full

    journal.close()


def test_nobody_else_may_read_what_instances_are_described_as(tmp_path: Path) -> None:
    journal = SqlJournal(tmp_path / "journal.db", here, Omissions())
    accept(journal, entry())

    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}

    assert set(modes.values()) == {0o600}
    assert "journal.db-wal" in modes
    journal.close()


def test_a_file_that_somebody_else_holds_is_a_database_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.lxd_worker.journal.database._BUSY_S", 0.05)
    journal = SqlJournal(tmp_path / "journal.db", here, Omissions())
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DatabaseUnavailable):
        accept(journal, entry())

    other.execute("ROLLBACK")
    assert accept(journal, entry()).operation.sequence == 1
    other.close()
    journal.close()


@pytest.mark.parametrize(
    "other",
    [
        entry("op-2", "web"),
        entry("op-2", "shop"),
        rename("op-2", "db", "shop"),
        rename("op-2", "shop", "shop-2"),
        rename("op-2", "db", "web"),
    ],
)
def test_a_rename_holds_both_names(journal: Journal, other: JournalEntry) -> None:
    accept(journal, rename("op-1", "web", "shop"))

    with pytest.raises(OperationInProgress) as refusal:
        accept(journal, other)

    assert refusal.value.operation_id == "op-1"


def test_both_names_are_free_when_the_rename_has_ended(journal: Journal) -> None:
    accept(journal, rename("op-1", "web", "shop"))
    journal.advance("op-1", lambda one: one.rename("shop"))
    journal.advance("op-1", lambda one: one.finish(State.DONE, "then"))

    assert accept(journal, entry("op-2", "shop")).operation.state is State.ACCEPTED
    assert accept(journal, entry("op-3", "web")).operation.state is State.ACCEPTED
