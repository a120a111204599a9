"""A row of the journal that cannot be read costs its own operation, and is kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.lxd_worker.journal.entry import JournalEntry, Outcome
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.omissions import Omission
from services.lxd_worker.transitions.steps import Step
from shared.contracts.bounds import LONGEST_TEXT
from shared.contracts.errors import LxdRefused, OutcomeUnknown, UnreadableMessage
from shared.contracts.operations import LONGEST_MESSAGE, Kind, State
from tests.support.builders import a_submission
from tests.support.lxd_worker.journal import here
from tests.support.lxd_worker.observations import described, observation
from tests.support.lxd_worker.wire import Omissions

NOW = "2026-11-20T10:00:00Z"
FAR_FUTURE = 9e9


@dataclass
class Disk:
    """A journal's file, which may be opened, damaged and opened again."""

    file: Path
    omissions: Omissions = field(default_factory=Omissions)
    opened: list[SqlJournal] = field(default_factory=list)

    def open(self) -> SqlJournal:
        self.opened.append(SqlJournal(self.file, here, self.omissions))
        return self.opened[-1]

    def row(self, operation_id: str) -> bytes:
        wanted = "SELECT entry FROM operations WHERE operation_id = ?"
        with closing(sqlite3.connect(self.file)) as connection:
            (found,) = connection.execute(wanted, (operation_id,)).fetchone()
        return bytes(found)

    def damage(self, operation_id: str, body: bytes) -> None:
        change = "UPDATE operations SET entry = ? WHERE operation_id = ?"
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(change, (body, operation_id))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "journal.db")
    yield made
    for journal in made.opened:
        journal.close()


def entry(number: int, instance: str = "", kind: Kind = Kind.STOP) -> JournalEntry:
    order = a_submission(kind, instance or f"i{number}", operation_id=f"op-{number}")
    return JournalEntry.accept(order, NOW)


def accept(journal: SqlJournal, *numbers: int) -> None:
    for number in numbers:
        journal.accept(entry(number), "h1", 10)


def ids(found: list[Any]) -> list[str]:
    return [getattr(one, "operation", one).operation_id for one in found]


def newer(body: bytes) -> bytes:
    """Return a row as a later release may write it: with a step that this one does not know."""
    return json.dumps(json.loads(body) | {"taken": ["teleport"]}).encode()


UNREADABLE: list[Callable[[bytes], bytes]] = [
    newer,
    lambda body: body[:40],
    lambda _: b"\xff\x00",
    lambda _: b"[" * 100_000,
    lambda _: b"{}",
]


@pytest.mark.attack
@pytest.mark.parametrize("damaged", UNREADABLE)
def test_a_row_that_cannot_be_read_lets_the_other_operations_go_on(
    disk: Disk, damaged: Callable[[bytes], bytes]
) -> None:
    accept(disk.open(), 1, 2, 3)
    body = damaged(disk.row("op-2"))
    disk.damage("op-2", body)

    journal = disk.open()

    assert ids(journal.unfinished()) == ["op-1", "op-3"]
    assert ids(journal.since(0, 10)) == ["op-1", "op-3"]
    assert ids(journal.since(1, 10, most_bytes=1)) == ["op-3"]
    assert ids(journal.unconfirmed(10)) == ["op-1", "op-3"]
    assert (journal.find("op-2"), journal.holder("default", "i2")) == (None, None)
    assert disk.row("op-2") == body
    assert disk.omissions.of(Omission.OPERATION) == {"op-2"}


@pytest.mark.attack
@pytest.mark.parametrize("at", ["before it is opened", "while it is open"])
def test_a_page_goes_on_behind_rows_that_cannot_be_read(disk: Disk, at: str) -> None:
    journal = disk.open()
    accept(journal, *range(1, 10))
    for number in (1, 2, 3, 5, 6):
        disk.damage(f"op-{number}", b"?")
    journal = journal if at == "while it is open" else disk.open()

    first = journal.since(0, 2)
    second = journal.since(first[-1].sequence, 2)

    assert [ids(first), ids(second)] == [["op-4", "op-7"], ["op-8", "op-9"]]


@pytest.mark.attack
def test_the_instance_of_a_row_that_cannot_be_read_is_free(disk: Disk) -> None:
    accept(disk.open(), 1)
    disk.damage("op-1", b"?")
    journal = disk.open()

    again = journal.accept(entry(2, "i1"), "h1", 1)

    assert again.fresh
    assert journal.advance("op-2", ended).operation.state is State.DONE


def test_nothing_is_said_of_it_that_is_not_known(disk: Disk) -> None:
    accept(disk.open(), 1)
    disk.damage("op-1", b"?")
    journal = disk.open()

    with pytest.raises(UnreadableMessage):
        journal.resolve("op-1", 5.0)
    with pytest.raises(OutcomeUnknown):
        journal.accept(entry(1), "h1", 10)


def test_it_goes_on_in_a_release_that_can_read_it(disk: Disk) -> None:
    accept(disk.open(), 1, 2)
    body = disk.row("op-1")
    disk.damage("op-1", newer(body))
    disk.open()
    disk.damage("op-1", body)

    journal = disk.open()

    assert ids(journal.unfinished()) == ["op-1", "op-2"]
    assert ids(journal.since(0, 10)) == ["op-1", "op-2"]


def test_it_does_not_take_its_instance_back_from_another_operation(disk: Disk) -> None:
    accept(disk.open(), 1)
    body = disk.row("op-1")
    disk.damage("op-1", b"?")
    disk.open().accept(entry(2, "i1"), "h1", 10)
    disk.damage("op-1", body)

    journal = disk.open()

    assert ids(journal.unfinished()) == ["op-2"]
    journal.advance("op-2", ended)
    assert ids(disk.open().unfinished()) == ["op-1"]


def test_it_is_forgotten_when_it_is_as_old_as_any_other(disk: Disk) -> None:
    accept(disk.open(), 1, 2)
    disk.damage("op-1", b"?")
    journal = disk.open()

    assert journal.prune(before=0.0) == 0
    assert journal.prune(before=FAR_FUTURE) == 1
    assert (journal.length, ids(journal.unfinished())) == (1, ["op-2"])


def test_texts_that_were_longer_in_an_earlier_release_are_cut(disk: Disk) -> None:
    journal = disk.open()
    accept(journal, 1)
    journal.advance("op-1", rich)
    said = json.loads(disk.row("op-1"))
    said["operation"]["after"]["description"] = "x" * 10_000
    said["operation"]["failure"]["message"] = "y" * 20_000
    disk.damage("op-1", json.dumps(said).encode())

    (found,) = disk.open().since(0, 10)

    assert found.after is not None
    assert found.failure is not None
    assert len(found.after.description) == LONGEST_TEXT
    assert len(found.failure.message) == LONGEST_MESSAGE
    assert found.failure.values == ["no"]


def test_what_is_written_can_be_read(disk: Disk) -> None:
    journal = disk.open()
    accept(journal, 1)

    def hostile(one: JournalEntry) -> JournalEntry:
        after = described("i1", observation(uuid="u\ud800" * 300))
        error = LxdRefused("\x00" * 10_000)
        return one.finish(State.FAILED, NOW, Outcome(error=error, after=after))

    written = journal.advance("op-1", hostile)

    assert disk.open().find("op-1") == written


def ended(one: JournalEntry) -> JournalEntry:
    return one.finish(State.DONE, NOW)


def rich(one: JournalEntry) -> JournalEntry:
    begun = one.begin(Step.STOP, observation(), NOW)
    after = described("i1", observation("Stopped"))
    return begun.finish(State.FAILED, NOW, Outcome(error=LxdRefused("no"), after=after))


def test_what_waits_behind_a_row_that_cannot_be_read_goes_on_at_the_next_start(disk: Disk) -> None:
    journal = disk.open()
    journal.accept(entry(1, "web", Kind.CREATE), "h1", 10)
    journal.accept(entry(2, "web", Kind.START), "h1", 10)
    journal.accept(entry(3, "web", Kind.STOP), "h1", 10)
    disk.damage("op-1", newer(disk.row("op-1")))

    journal = disk.open()

    assert ids(journal.unfinished()) == ["op-2"]
    journal.advance("op-2", lambda known: known.finish(State.DONE, NOW))
    assert ids(journal.unfinished()) == ["op-3"]


def test_what_waited_and_can_be_read_again_goes_on_though_its_creation_has_ended(
    disk: Disk,
) -> None:
    journal = disk.open()
    journal.accept(entry(1, "web", Kind.CREATE), "h1", 10)
    journal.accept(entry(2, "web", Kind.START), "h1", 10)
    body = disk.row("op-2")
    disk.damage("op-2", newer(body))
    journal = disk.open()
    journal.advance("op-1", lambda known: known.finish(State.DONE, NOW))
    disk.damage("op-2", body)

    journal = disk.open()

    assert ids(journal.unfinished()) == ["op-2"]
