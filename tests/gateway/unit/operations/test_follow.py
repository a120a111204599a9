"""Waiting for outcomes, listing, cancelling, and learning from what workers publish."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from services.gateway.operations.store import OperationFilter
from shared.contracts.errors import (
    HostUnreachable,
    OperationNotCancellable,
    OperationNotFound,
    UnreadableMessage,
)
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Kind, State
from tests.support.builders import a_heartbeat, an_instance, an_operation
from tests.support.core import Core
from tests.support.stores import MemoryOperationStore


def published(operation: Any) -> OperationChanged:
    return OperationChanged(operation=operation)


async def test_waiting_ends_with_the_outcome_and_the_view_shows_it(gateway: Core) -> None:
    operation = await gateway.submit(Kind.STOP)
    waiting = asyncio.create_task(gateway.operations.wait(operation.operation_id, 5))
    await asyncio.sleep(0.01)

    after = an_instance(revision=5, status="Stopped")
    done = gateway.workers.finish(operation.operation_id, after=after, after_epoch=1)
    gateway.events.on_event("h1", published(done))

    assert (await waiting).state is State.DONE
    assert gateway.fleet.instance("web").instance.status == "Stopped"


async def test_waiting_ends_with_what_is_known_after_the_time_out(gateway: Core) -> None:
    operation = await gateway.submit()

    assert (await gateway.operations.wait(operation.operation_id, 0.01)).state is State.ACCEPTED


async def test_an_outcome_is_told_before_the_database_has_it(gateway: Core) -> None:
    operation = await gateway.submit()

    gateway.events.on_event("h1", published(gateway.workers.finish(operation.operation_id)))

    assert gateway.store.operations[operation.operation_id].state is State.ACCEPTED
    assert (await gateway.operations.get(operation.operation_id)).state is State.DONE
    (listed,) = await gateway.operations.list(OperationFilter(state="done"))
    assert listed.operation_id == operation.operation_id
    assert await gateway.operations.list(OperationFilter(state="accepted")) == []


async def test_news_that_come_while_the_database_is_asked_are_not_missed(gateway: Core) -> None:
    operation = await gateway.submit()
    done = gateway.workers.finish(operation.operation_id)
    asked = gateway.store.get

    async def get_while_news_come(operation_id: str) -> Any:
        stored = await asked(operation_id)
        gateway.events.on_event("h1", published(done))
        return stored

    gateway.store.get = get_while_news_come

    assert (await gateway.operations.wait(operation.operation_id, 5)).state is State.DONE


async def test_outcomes_that_come_twice_or_late_change_nothing(gateway: Core) -> None:
    operation = await gateway.submit()
    running = gateway.workers.report(gateway.workers.journal[operation.operation_id])
    done = gateway.workers.finish(operation.operation_id)

    for news in (done, done, running):
        await gateway.events.on_outcome(news)

    assert gateway.store.operations[operation.operation_id].state is State.DONE
    assert (await gateway.operations.get(operation.operation_id)).state is State.DONE


async def test_another_hosts_record_of_an_id_is_not_believed(gateway: Core) -> None:
    operation = await gateway.submit()

    lie = an_operation(operation.operation_id, host="h2", state=State.DONE, sequence=99)
    await gateway.events.on_outcome(lie)

    assert (await gateway.operations.get(operation.operation_id)).state is State.ACCEPTED
    assert gateway.store.operations[operation.operation_id].host == "h1"


async def test_another_host_cannot_tell_the_end_of_an_operation_first_heard_of_from_it(
    gateway: Core,
) -> None:
    await gateway.store.merge([an_operation()])
    waiting = asyncio.create_task(gateway.operations.wait("op-1", 5))
    lie = an_operation(host="h2", state=State.FAILED, sequence=99)

    gateway.events.on_event("h2", published(lie))
    told = await gateway.operations.get("op-1")
    listed = await gateway.operations.list(OperationFilter(host="h1"))
    gateway.events.on_event("h1", published(an_operation(state=State.DONE, sequence=2)))

    assert told.state is State.RUNNING
    assert [operation.state for operation in listed] == [State.RUNNING]
    assert (await waiting).state is State.DONE


@pytest.mark.parametrize("answer", [{"host": "h2"}, {"operation_id": "op-2"}])
async def test_a_worker_asked_about_one_operation_cannot_answer_about_another(
    gateway: Core, answer: dict[str, str]
) -> None:
    for operation_id in ("op-1", "op-2"):
        await gateway.store.merge([an_operation(operation_id)])
    lie = an_operation("op-1", state=State.DONE, sequence=9)
    gateway.workers.journal = {"op-1": replace(lie, **answer)}

    with pytest.raises(UnreadableMessage):
        await gateway.operations.cancel("op-1")

    for operation_id in ("op-1", "op-2"):
        assert (await gateway.operations.get(operation_id)).state is State.RUNNING


async def test_an_outcome_is_kept_however_long_the_database_is_away(
    gateway: Core,
) -> None:
    gateway.store.away = True

    keeping = asyncio.create_task(gateway.events.on_outcome(an_operation(state=State.DONE)))
    await asyncio.sleep(0.03)
    kept_early = keeping.done()
    gateway.store.away = False
    await keeping

    assert not kept_early
    assert gateway.store.operations["op-1"].state is State.DONE


async def test_an_unknown_operation_is_not_found(gateway: Core) -> None:
    with pytest.raises(OperationNotFound):
        await gateway.operations.get("nope")
    with pytest.raises(OperationNotFound):
        await gateway.operations.wait("nope", 1)
    with pytest.raises(OperationNotFound):
        await gateway.operations.cancel("nope")


async def test_the_newest_operations_that_fit_are_listed_first(gateway: Core) -> None:
    for number in range(4):
        gateway.time.advance(1)
        kind = Kind.STOP if number % 2 else Kind.START
        await gateway.submit(kind)

    listed = await gateway.operations.list(OperationFilter(kind="stop", limit=1))

    newest = max(gateway.store.operations.values(), key=lambda o: o.created_at)
    assert [operation.operation_id for operation in listed] == [newest.operation_id]


async def test_a_cancellation_is_asked_of_the_worker(gateway: Core) -> None:
    operation = await gateway.submit()

    cancelled = await gateway.operations.cancel(operation.operation_id)

    assert cancelled.state is State.CANCELLING


async def test_what_has_ended_cannot_be_cancelled(gateway: Core) -> None:
    operation = await gateway.submit()
    gateway.cache.record(gateway.workers.finish(operation.operation_id))

    with pytest.raises(OperationNotCancellable):
        await gateway.operations.cancel(operation.operation_id)


async def test_what_has_not_reached_its_worker_cannot_be_cancelled(gateway: Core) -> None:
    await gateway.store.merge([an_operation(state=State.SUBMITTING, sequence=0)])

    with pytest.raises(OperationNotCancellable):
        await gateway.operations.cancel("op-1")


async def test_a_hosts_history_is_read_from_where_it_ended_before(gateway: Core) -> None:
    for number in range(1203):
        gateway.workers.report(an_operation(f"op-{number}", state=State.DONE))

    await gateway.sync.sync_host("h1")
    pages = gateway.workers.called.count(("h1", "operations_since"))
    await gateway.sync.sync_host("h1")

    assert len(gateway.store.operations) == 1203
    assert gateway.store.sequences == {"h1": 1203}
    assert pages == 3
    assert gateway.workers.called.count(("h1", "operations_since")) == 4


async def test_a_history_in_anothers_name_is_not_kept(gateway: Core) -> None:
    gateway.workers.report(an_operation("op-1", host="h2", state=State.DONE))

    await gateway.sync.sync_host("h1")

    assert gateway.store.operations == {}


async def test_a_worker_that_appears_is_asked_for_its_inventory_and_history(gateway: Core) -> None:
    gateway.events.on_event("h1", a_heartbeat(epoch=2, sequence=1))
    await asyncio.sleep(0.01)
    await gateway.events.close()

    assert set(gateway.workers.called) == {
        ("h1", "publish_inventory"),
        ("h1", "operations_since"),
    }


async def test_a_gap_that_shows_in_many_events_is_asked_about_once(gateway: Core) -> None:
    for sequence in range(5, 50):
        gateway.events.on_event("h1", a_heartbeat(sequence=sequence))
    await asyncio.sleep(0.01)
    await gateway.events.close()

    assert gateway.workers.called == [("h1", "publish_inventory")]


async def test_after_a_connection_every_host_is_asked_until_its_worker_is_back(
    gateway: Core,
) -> None:
    gateway.workers.unreachable = {"h1": HostUnreachable("h1")}

    gateway.events.on_connected()
    await asyncio.sleep(0.05)
    while_away = gateway.workers.called.count(("h1", "publish_inventory"))
    gateway.workers.unreachable = {}
    await asyncio.sleep(0.05)
    await gateway.events.close()

    assert while_away > 1
    assert gateway.workers.called.count(("h1", "publish_inventory")) == while_away + 1


async def test_the_database_is_not_asked_for_a_creation_that_it_cannot_hold(gateway: Core) -> None:
    gateway.store.away = True

    with pytest.raises(OperationNotFound):
        await gateway.operations.get_creation("nobody")


async def test_a_creation_is_known_before_the_database_has_it(gateway: Core) -> None:
    failed = an_operation("u-new", kind=Kind.CREATE, state=State.FAILED)

    gateway.events.on_event("h1", published(failed))

    assert (await gateway.operations.get_creation("u-new")).state is State.FAILED


async def test_a_creation_that_another_gateway_rejected_is_found() -> None:
    gateway = Core(store=MemoryOperationStore(shared=True))
    rejected = an_operation("u-new", kind=Kind.CREATE, state=State.REJECTED)
    gateway.store.operations["u-new"] = rejected

    assert await gateway.operations.get_creation("u-new") == rejected
    with pytest.raises(OperationNotFound):
        await gateway.operations.get_creation("nobody")
