"""The gateways' calls: what is taken on, what is refused, and that nothing is taken on twice."""

from __future__ import annotations

from typing import Any

import pytest

from services.lxd_worker.journal.entry import JournalEntry
from shared.contracts.errors import (
    FleetError,
    HostBusy,
    InstanceNotFound,
    InstanceReplaced,
    InvalidInput,
    LxdUnavailable,
    OperationExpired,
    OperationInProgress,
    OperationNotCancellable,
    OperationNotFound,
    OperationRefused,
)
from shared.contracts.instance_config import Changes
from shared.contracts.operations import Arguments, Kind, State, Submission
from tests.support.builders import a_submission
from tests.support.clock import STARTED
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import observation


def order(operation_id: str = "op-1", **changes: Any) -> Submission:
    """Return an order to stop `web`, good for another minute."""
    return a_submission(operation_id=operation_id, **changes)


def test_an_order_is_in_the_journal_before_it_is_answered_and_before_it_is_begun(
    bench: Bench,
) -> None:
    operation = bench.operations.submit(order(correlation_id="c-1"))

    assert operation.state is State.ACCEPTED
    assert bench.operation("op-1") == operation
    assert (operation.principal, operation.correlation_id) == ("admin", "c-1")
    assert [entry.operation for entry in bench.spawned] == [operation]
    assert bench.lxd.asked == []


def test_the_same_order_again_is_answered_from_the_journal_and_begun_once(bench: Bench) -> None:
    bench.operations.submit(order())
    bench.work()

    again = bench.operations.submit(order())

    assert again.state is State.DONE
    assert bench.spawned == []
    assert len(bench.lxd.asked) == 1


def test_the_same_order_is_answered_again_when_lxd_is_away_and_its_time_has_passed(
    bench: Bench,
) -> None:
    first = bench.operations.submit(order())
    bench.clock.advance(3600)
    bench.lxd.away = 1

    assert bench.operations.submit(order()) == first


@pytest.mark.parametrize("gateways_clock", [-3600.0, 0.0, 3600.0])
def test_how_long_an_order_is_good_is_counted_by_the_workers_clock_alone(
    bench: Bench, gateways_clock: float
) -> None:
    start_by = f"{bench.clock.unix() + gateways_clock + 30:.3f}"

    bench.operations.submit(order(start_by=start_by, start_within_s=30.0))
    kept = bench.entry("op-1").start_by - bench.clock.unix()
    bench.clock.advance(31)
    bench.work()

    operation = bench.operation("op-1")
    assert kept == 30.0
    assert operation.state is State.CANCELLED
    assert operation.failure is not None
    assert operation.failure.code == "operation_expired"


@pytest.mark.parametrize("gateways_clock", [-3600.0, 3600.0])
def test_a_host_whose_clock_is_another_one_carries_orders_out(
    bench: Bench, gateways_clock: float
) -> None:
    start_by = f"{bench.clock.unix() + gateways_clock + 30:.3f}"

    bench.operations.submit(order(start_by=start_by, start_within_s=30.0))
    bench.work()

    assert bench.operation("op-1").state is State.DONE


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"host": "h2"}, InvalidInput),
        ({"instance": "nope"}, InstanceNotFound),
        ({"instance": ""}, InvalidInput),
        ({"instance": "../web"}, InvalidInput),
        ({"uuid": "u-old"}, InstanceReplaced),
        ({"uuid": ""}, InstanceReplaced),
        ({"start_by": f"{STARTED - 0.1}"}, OperationExpired),
        ({"start_by": "soon"}, InvalidInput),
        ({"start_by": "nan"}, InvalidInput),
        ({"timeout_s": float("nan")}, InvalidInput),
        ({"timeout_s": -1.0}, InvalidInput),
        ({"arguments": Arguments(stop_timeout_s=float("inf"))}, InvalidInput),
    ],
)
def test_a_wrong_order_is_refused_and_leaves_no_trace(
    bench: Bench, changes: dict[str, Any], error: type[FleetError]
) -> None:
    with pytest.raises(error):
        bench.operations.submit(order(**changes))

    assert bench.journal.length == 0
    assert bench.spawned == []


def test_while_lxd_is_away_nothing_is_taken_on(bench: Bench) -> None:
    bench.lxd.away = 1

    with pytest.raises(LxdUnavailable):
        bench.operations.submit(order())

    assert bench.journal.length == 0


def test_what_is_known_to_be_there_is_not_looked_at(bench: Bench) -> None:
    bench.lxd.memory = {("default", one.name): one for one in bench.lxd.instances()}
    bench.lxd.away = 1

    assert bench.operations.submit(order()).state is State.ACCEPTED


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"instance": "nope"}, InstanceNotFound),
        ({"uuid": "u-old"}, InstanceReplaced),
        ({"uuid": ""}, InstanceReplaced),
    ],
)
def test_what_is_not_known_to_be_there_is_looked_at(
    bench: Bench, changes: dict[str, Any], error: type[FleetError]
) -> None:
    bench.lxd.memory = {("default", one.name): one for one in bench.lxd.instances()}

    with pytest.raises(error):
        bench.operations.submit(order(**changes))


def test_an_instance_with_an_unfinished_operation_takes_no_other(bench: Bench) -> None:
    bench.operations.submit(order("op-1"))

    with pytest.raises(OperationInProgress) as refusal:
        bench.operations.submit(order("op-2", kind=Kind.START))

    assert (refusal.value.instance, refusal.value.operation_id) == ("web", "op-1")


def test_another_instance_is_free_meanwhile(bench: Bench) -> None:
    bench.operations.submit(order("op-1"))

    operation = bench.operations.submit(order("op-2", instance="db", uuid="u-db"))

    assert operation.state is State.ACCEPTED


def test_a_host_with_too_many_unfinished_operations_takes_no_more(bench: Bench) -> None:
    for number in range(4):
        bench.lxd.holds[f"c{number}"] = observation(uuid=f"u{number}")
    for number in range(3):
        bench.operations.submit(order(f"op-{number}", instance=f"c{number}", uuid=f"u{number}"))

    with pytest.raises(HostBusy):
        bench.operations.submit(order("op-3", instance="c3", uuid="u3"))


def test_an_id_that_was_resolved_as_never_come_is_refused_for_ever(bench: Bench) -> None:
    resolved = bench.operations.resolve("op-1")

    with pytest.raises(OperationRefused):
        bench.operations.submit(order("op-1"))

    assert resolved is None
    assert bench.operations.resolve("op-1") is None


def test_an_operation_that_came_is_resolved_as_it_stands(bench: Bench) -> None:
    bench.operations.submit(order())
    bench.work()

    assert bench.operations.resolve("op-1") == bench.operation("op-1")


def test_changes_are_listed_in_their_order_and_by_pages(bench: Bench) -> None:
    bench.operations.submit(order("op-1"))
    bench.operations.submit(order("op-2", instance="db", uuid="u-db"))

    first = bench.operations.operations_since(0, limit=1)
    rest = bench.operations.operations_since(first.operations[0].sequence, limit=500)

    assert ([one.operation_id for one in first.operations], first.more) == (["op-1"], True)
    assert ([one.operation_id for one in rest.operations], rest.more) == (["op-2"], False)


@pytest.mark.attack
def test_a_page_has_an_end_in_bytes_and_each_operation_its_place(bench: Bench) -> None:
    large = [f"op-{number}" for number in range(5)]
    for number, operation_id in enumerate(large):
        arguments = Arguments(changes=Changes(description="x" * (1 << 20)))
        made = order(operation_id, instance=f"i{number}", arguments=arguments)
        bench.journal.accept(JournalEntry.accept(made, "2026-11-20T10:00:00Z"), "h1", 10)

    pages = [bench.operations.operations_since(0, limit=500)]
    while pages[-1].more:
        reached = pages[-1].operations[-1].sequence
        pages.append(bench.operations.operations_since(reached, limit=500))

    assert [one.operation_id for page in pages for one in page.operations] == large
    assert [len(page.operations) for page in pages] == [2, 2, 1]


def test_an_operation_that_was_not_begun_is_cancelled_at_once(bench: Bench) -> None:
    bench.operations.submit(order())

    operation = bench.operations.cancel("op-1")
    bench.work()

    assert operation.state is State.CANCELLED
    assert bench.lxd.asked == []
    assert bench.operations.cancel("op-1").state is State.CANCELLED


def test_an_operation_that_has_ended_cannot_be_cancelled(bench: Bench) -> None:
    bench.operations.submit(order())
    bench.work()

    with pytest.raises(OperationNotCancellable):
        bench.operations.cancel("op-1")

    assert bench.operation("op-1").state is State.DONE


def test_an_unknown_operation_cannot_be_cancelled(bench: Bench) -> None:
    with pytest.raises(OperationNotFound):
        bench.operations.cancel("op-9")
