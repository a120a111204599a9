"""No operation is left without somebody who carries it out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.protocol import Change
from services.lxd_worker.operations.supervisor import OperationSupervisor
from services.lxd_worker.transitions.steps import Step
from shared.contracts.operations import Kind, Operation, State
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.journal import FakeJournal


class Watched:
    """A supervisor whose greenthreads run when the test says so, or die before they begin."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ended: list[Operation] = []
        self._work: list[tuple[Callable[[JournalEntry], None], JournalEntry]] = []
        self.supervisor = OperationSupervisor(
            bench.context, self._spawn, self.ended.append, bench.pending
        )

    @property
    def spawned(self) -> list[str]:
        return [entry.operation.operation_id for _, entry in self._work]

    def run(self) -> None:
        while self._work:
            work, entry = self._work.pop(0)
            work(entry)

    def _spawn(self, work: Callable[[JournalEntry], None], entry: JournalEntry) -> None:
        self._work.append((work, entry))


class BreakingJournal(FakeJournal):
    """A journal with a bug that shows so many times."""

    breaks = 0

    def advance(self, operation_id: str, change: Change) -> JournalEntry:
        if self.breaks:
            self.breaks -= 1
            raise ValueError("a bug")
        return super().advance(operation_id, change)


@pytest.fixture
def watched(bench: Bench) -> Watched:
    bench.submit(Kind.STOP)
    return Watched(bench)


def test_an_operation_is_carried_out_by_one_only(watched: Watched) -> None:
    entry = watched.bench.entry("op")

    watched.supervisor.start(entry)
    watched.supervisor.start(entry)

    assert watched.spawned == ["op"]


def test_what_nobody_works_on_is_taken_up_at_the_second_look(watched: Watched) -> None:
    watched.supervisor.resume_abandoned()
    at_first = watched.spawned
    watched.supervisor.resume_abandoned()
    watched.run()

    assert at_first == []
    assert watched.bench.operation("op").state is State.DONE
    assert watched.bench.lxd.asked == [Step.STOP]
    assert [one.operation_id for one in watched.ended] == ["op"]


def test_what_somebody_works_on_is_left_to_him(watched: Watched) -> None:
    watched.supervisor.start(watched.bench.entry("op"))

    for _ in range(3):
        watched.supervisor.resume_abandoned()

    assert watched.spawned == ["op"]


def test_an_operation_whose_thread_dies_is_settled(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.journal = journal = BreakingJournal(bench.clock)
    bench.submit(Kind.STOP)
    watched = Watched(bench)
    journal.breaks = 2

    watched.supervisor.start(bench.entry("op"))
    watched.run()
    left = bench.operation("op").state
    for _ in range(2):
        watched.supervisor.resume_abandoned()
    watched.run()

    assert "operation's thread died" in caplog.text
    assert (left, bench.operation("op").state) == (State.ACCEPTED, State.DONE)


def test_those_that_waited_follow_although_counting_the_first_breaks(bench: Bench) -> None:
    def break_down(_: Operation) -> None:
        raise ValueError("a bug")

    bench.submit(Kind.STOP)
    watched = Watched(bench)
    watched.supervisor.ended = break_down

    watched.supervisor.start(bench.entry("op"))
    watched.run()

    assert bench.operation("op").state is State.DONE
    assert bench.journal.unfinished() == []
