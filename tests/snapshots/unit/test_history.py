"""Storing what hosts did, and deleting what is old, over a store in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from services.snapshots.runs.history import SLACK, RunHistory, RunRetention
from shared.contracts.errors import DatabaseUnavailable, UnreadableMessage
from shared.contracts.policies import PolicyRun
from tests.support.snapshots import a_run

MOST = 40


class Store:
    """Remembers what it is told; `bad` are operations that it cannot store."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, PolicyRun]] = []
        self.bad: set[str] = set()
        self.away = False
        self.purged: list[float] = []
        self.pruned: list[tuple[str, int]] = []
        self.surplus = 2

    def record(self, given: Sequence[tuple[str, PolicyRun]], at: float) -> None:
        if self.away:
            raise DatabaseUnavailable
        if any(run.operation_id in self.bad for _, run in given):
            raise UnreadableMessage("cannot be stored")
        self.stored.extend(given)

    def sequences(self, host: str, operations: Iterable[str]) -> dict[str, int]:
        wanted = set(operations)
        return {
            run.operation_id: run.sequence
            for at, run in self.stored
            if at == host and run.operation_id in wanted
        }

    def purge(self, before: float) -> int:
        self.purged.append(before)
        return max(0, 3 - len(self.purged))

    def prune(self, host: str, most: int) -> int:
        self.pruned.append((host, most))
        self.surplus -= 1
        return self.surplus


class Bench:
    """A history; `counted` are the runs that it has told of."""

    def __init__(self) -> None:
        self.store = Store()
        self.counted: list[PolicyRun] = []
        self.rests = 0
        retention = RunRetention(keep_s=1000.0, most_per_host=MOST)
        self.history = RunHistory(self.store, retention, lambda: 5000.0, self.counted.append)

    def rest(self) -> None:
        self.rests += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_run_that_cannot_be_stored_costs_no_other(bench: Bench) -> None:
    bench.store.bad = {"bad"}
    good, bad = a_run(1, operation_id="good"), a_run(2, operation_id="bad")

    bench.history.record([("h1", good), ("h2", bad), ("h3", good)])

    assert bench.store.stored == [("h1", good), ("h3", good)]


def test_while_the_database_is_away_nothing_counts_as_stored(bench: Bench) -> None:
    bench.store.away = True

    with pytest.raises(DatabaseUnavailable):
        bench.history.record([("h1", a_run(1))])

    assert bench.counted == []


def test_old_runs_are_deleted_some_at_a_time(bench: Bench) -> None:
    bench.history.delete_old(bench.rest)

    assert bench.store.purged == [4000.0] * 3
    assert bench.rests == 2


def test_the_runs_of_a_host_are_counted_once_it_has_written_enough(bench: Bench) -> None:
    enough = MOST // SLACK + 1
    bench.history.record([("h1", a_run(number)) for number in range(enough)])
    bench.history.record([("h2", a_run(1))])

    bench.history.delete_surplus(bench.rest)
    bench.history.delete_surplus(bench.rest)

    assert bench.store.pruned == [("h1", MOST), ("h1", MOST)]


def test_what_is_stored_of_a_host_is_told_by_operation(bench: Bench) -> None:
    run = a_run(3)
    bench.history.record([("h1", run)])

    assert bench.history.stored("h1", [run, a_run(9, operation_id="other")]) == {
        run.operation_id: 3
    }
