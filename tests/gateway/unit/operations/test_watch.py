"""Watching operations: who wants to know hears of every one of them."""

from services.gateway.operations.cache import OperationCache
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Kind, Operation, State
from tests.support.builders import an_operation
from tests.support.core import Core


def watched(ledger: OperationCache) -> list[State]:
    states: list[State] = []
    ledger.watch(lambda operation: states.append(operation.state))
    return states


async def test_a_submission_is_heard_of_from_its_beginning(gateway: Core) -> None:
    heard: list[Operation] = []
    gateway.operations.watch(heard.append)

    submitted = await gateway.submit(Kind.STOP)

    assert [each.state for each in heard] == [State.SUBMITTING, State.ACCEPTED]
    assert {each.operation_id for each in heard} == {submitted.operation_id}


def test_old_news_are_not_told(gateway: Core) -> None:
    states = watched(gateway.cache)

    gateway.cache.record(an_operation(state=State.DONE, sequence=5))
    gateway.cache.record(an_operation(state=State.RUNNING, sequence=4))

    assert states == [State.DONE]


async def test_an_outcome_that_is_reported_three_times_is_merged_and_told_once(
    gateway: Core,
) -> None:
    submitted = await gateway.submit()
    ended = gateway.workers.finish(submitted.operation_id)
    states = watched(gateway.cache)
    version = gateway.fleet.version

    gateway.events.on_event("h1", OperationChanged(operation=ended))
    first = gateway.fleet.version
    await gateway.events.on_outcome(ended)
    await gateway.sync.sync_host("h1")

    assert states == [State.DONE]
    assert version < first == gateway.fleet.version


def test_an_outcome_shows_in_the_fleet_view_before_it_is_told(gateway: Core) -> None:
    shown: list[bool] = []
    gateway.cache.watch(lambda _: shown.append(gateway.fleet.has_applied("h1", 3)))

    gateway.cache.record(an_operation(state=State.DONE, sequence=3))

    assert shown == [True]


def test_who_stopped_watching_hears_nothing(gateway: Core) -> None:
    states: list[State] = []
    end = gateway.cache.watch(lambda operation: states.append(operation.state))

    end()
    gateway.cache.record(an_operation())

    assert states == []
