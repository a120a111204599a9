"""Operations that wait for the creation of their instance, in both journals."""

from __future__ import annotations

import pytest

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.protocol import Journal
from shared.contracts.errors import Cancelled, HostBusy, OperationInProgress
from shared.contracts.operations import Kind, State
from tests.support.builders import AT, a_submission

THEN = "2026-11-20T10:01:00Z"


def accept(
    journal: Journal, operation_id: str, kind: Kind = Kind.START, instance: str = "web"
) -> JournalEntry:
    order = a_submission(kind, instance, operation_id=operation_id)
    return journal.accept(JournalEntry.accept(order, AT), "h1", 4).entry


def end(journal: Journal, operation_id: str) -> JournalEntry:
    return journal.advance(operation_id, lambda entry: entry.finish(State.DONE, THEN))


def following(journal: Journal, ended: JournalEntry) -> str | None:
    follower = journal.follower(ended.operation)
    return follower.operation.operation_id if follower else None


def test_behind_a_creation_operations_wait(journal: Journal) -> None:
    accept(journal, "new", Kind.CREATE)

    waiting = accept(journal, "op-1")

    assert (waiting.operation.state, waiting.operation.waits_for) == (State.ACCEPTED, "new")
    assert [one.operation.operation_id for one in journal.unfinished()] == ["new"]


def test_behind_anything_else_and_for_a_second_creation_the_instance_is_taken(
    journal: Journal,
) -> None:
    accept(journal, "op-1", Kind.STOP)
    accept(journal, "new", Kind.CREATE, "db")

    with pytest.raises(OperationInProgress):
        accept(journal, "op-2")
    with pytest.raises(OperationInProgress):
        accept(journal, "op-3", Kind.CREATE, "db")


def test_those_that_wait_hold_the_instance_one_after_another_as_they_came(
    journal: Journal,
) -> None:
    accept(journal, "new", Kind.CREATE)
    for operation_id in ("op-2", "op-1", "op-3"):
        accept(journal, operation_id, Kind.START)

    first = following(journal, end(journal, "new"))
    second = following(journal, end(journal, "op-2"))
    third = following(journal, end(journal, "op-1"))
    nobody = following(journal, end(journal, "op-3"))

    assert (first, second, third, nobody) == ("op-2", "op-1", "op-3", None)
    assert journal.unfinished() == []


def test_who_comes_when_the_creation_has_ended_does_not_overtake_who_waits(
    journal: Journal,
) -> None:
    accept(journal, "new", Kind.CREATE)
    accept(journal, "op-1")
    end(journal, "new")

    with pytest.raises(OperationInProgress) as refusal:
        accept(journal, "op-2")

    assert refusal.value.operation_id == "op-1"


def test_one_that_waits_and_is_called_off_is_left_out(journal: Journal) -> None:
    accept(journal, "new", Kind.CREATE)
    accept(journal, "op-1")
    accept(journal, "op-2")

    journal.advance("op-1", lambda entry: entry.withdraw(THEN, Cancelled()))

    assert [one.operation.operation_id for one in journal.unfinished()] == ["new"]
    assert following(journal, end(journal, "new")) == "op-2"


def test_those_behind_a_rename_find_the_instance_free_under_its_old_name(
    journal: Journal,
) -> None:
    accept(journal, "new", Kind.CREATE)
    accept(journal, "op-1", Kind.RENAME)
    accept(journal, "op-2")
    end(journal, "new")

    journal.advance("op-1", lambda entry: entry.rename("db"))

    assert following(journal, end(journal, "op-1")) == "op-2"


def test_an_operation_that_never_waited_follows_nobody(journal: Journal) -> None:
    accept(journal, "op-1")
    ended = end(journal, "op-1")
    accept(journal, "op-2")

    assert journal.follower(ended.operation) is None


def test_what_waits_for_another_instance_is_left_alone(journal: Journal) -> None:
    accept(journal, "new", Kind.CREATE)
    accept(journal, "op-1")
    accept(journal, "other", Kind.CREATE, "db")

    end(journal, "other")

    assert [one.operation.operation_id for one in journal.unfinished()] == ["new"]


def test_what_waits_is_among_those_that_a_host_may_have_unfinished(journal: Journal) -> None:
    accept(journal, "new", Kind.CREATE)
    for number in range(3):
        accept(journal, f"op-{number}")

    with pytest.raises(HostBusy):
        accept(journal, "op-4")


def test_progress_never_goes_back(journal: Journal) -> None:
    accept(journal, "new", Kind.CREATE)

    told = [
        journal.advance("new", lambda entry, so_far=so_far: entry.advance(so_far))
        for so_far in (10, 40, 30)
    ]

    assert [one.operation.progress for one in told] == [10, 40, 40]
