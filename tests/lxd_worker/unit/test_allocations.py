"""When what is given out is read anew, and that nothing is missed when it is not."""

from __future__ import annotations

import pytest

from services.lxd_worker.creation.allocations import Allocations
from services.lxd_worker.journal.entry import AllocationPlan, JournalEntry
from shared.contracts.errors import LxdUnavailable
from shared.contracts.operations import Kind
from tests.support.builders import a_submission
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import observation


@pytest.fixture
def ledger(bench: Bench) -> Allocations:
    return Allocations(bench.journal, bench.lxd, bench.clock, bench.lxd.cached_instances)


def names(ledger: Allocations, arrived: float) -> list[str]:
    found = ledger.commitments(arrived)
    return [
        *(one.name for one in found.instances),
        *(e.operation.instance for e in found.under_way),
    ]


def accepted(bench: Bench, name: str = "new") -> JournalEntry:
    order = a_submission(Kind.CREATE, name, operation_id=f"op-{name}", uuid="u-new")
    entry = JournalEntry.accept(order, "then", AllocationPlan(source={}, devices={}))
    return bench.journal.accept(entry, "h1", 10).entry


def test_an_order_that_came_before_the_reading_began_is_told_the_same(
    bench: Bench, ledger: Allocations
) -> None:
    ledger.commitments(990.0)
    bench.lxd.holds["late"] = observation()

    assert names(ledger, 999.0) == ["web", "db"]


def test_for_an_order_that_came_later_it_is_read_anew(bench: Bench, ledger: Allocations) -> None:
    ledger.commitments(990.0)
    bench.lxd.holds["late"] = observation()

    assert names(ledger, 1000.0) == ["web", "db", "late"]


def test_what_was_given_out_since_the_reading_is_known(bench: Bench, ledger: Allocations) -> None:
    ledger.commitments(990.0)
    ledger.add(accepted(bench))

    assert names(ledger, 999.0) == ["web", "db", "new"]


def test_what_is_under_way_is_read_from_the_journal(bench: Bench, ledger: Allocations) -> None:
    accepted(bench)

    assert names(ledger, 999.0) == ["web", "db", "new"]


def test_what_is_known_is_not_read(bench: Bench, ledger: Allocations) -> None:
    bench.lxd.memory = {("default", "web"): bench.lxd.instances()[0]}
    bench.lxd.away = 1

    assert names(ledger, 990.0) == ["web"]


def test_after_a_reading_that_failed_the_next_order_reads(
    bench: Bench, ledger: Allocations
) -> None:
    ledger.commitments(990.0)
    bench.clock.advance(10.0)
    bench.lxd.away = 1
    bench.lxd.holds["late"] = observation()

    with pytest.raises(LxdUnavailable):
        ledger.commitments(1005.0)

    assert names(ledger, 1005.0) == ["web", "db", "late"]
