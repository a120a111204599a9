"""Operations are counted once, by the gateway that submitted them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.gateway.operations import metrics
from services.gateway.operations.metrics import OperationMetrics
from services.gateway.operations.store import OperationFilter
from shared.contracts.errors import InstanceReplaced
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Kind, Operation, State
from tests.support.builders import an_operation
from tests.support.core import Core


def counted(gateway: Core) -> list[tuple[Kind, State, float]]:
    return [(each.kind, each.state, took_s) for each, took_s in gateway.counted]


async def test_an_operation_counts_once_with_the_time_since_its_request(gateway: Core) -> None:
    begun = await gateway.submit(Kind.STOP)
    gateway.time.advance(3.5)
    ended = OperationChanged(operation=gateway.workers.finish(begun.operation_id))

    gateway.events.on_event("h1", ended)
    gateway.events.on_event("h1", ended)

    assert counted(gateway) == [(Kind.STOP, State.DONE, 3.5)]


async def test_a_refused_operation_counts_as_rejected(gateway: Core) -> None:
    gateway.workers.refusal = InstanceReplaced("web")

    with pytest.raises(InstanceReplaced):
        await gateway.submit(Kind.START)

    assert counted(gateway) == [(Kind.START, State.REJECTED, 0.0)]


async def test_what_another_gateway_submitted_is_not_ours_to_count(gateway: Core) -> None:
    other = an_operation(state=State.RUNNING, created_at="2026-11-18T10:00:00Z")
    gateway.events.on_event("h1", OperationChanged(operation=other))

    ended = replace(other, state=State.DONE, sequence=other.sequence + 1)
    gateway.events.on_event("h1", OperationChanged(operation=ended))

    assert ended in gateway.cache.merge_with_stored((), OperationFilter())
    assert counted(gateway) == []


async def test_what_ended_before_a_restart_is_not_counted_again(gateway: Core) -> None:
    begun = await gateway.submit()
    gateway.workers.finish(begun.operation_id)
    restarted = gateway.restarted()

    await restarted.sync.sync_host("h1")

    assert [
        each.operation_id for each in restarted.cache.merge_with_stored((), OperationFilter())
    ] == [begun.operation_id]
    assert counted(restarted) == []


def test_operations_that_never_end_take_no_more_room_than_so_many() -> None:
    recorded: list[Operation] = []
    tallied = OperationMetrics(lambda operation, _: recorded.append(operation), lambda: 0.0)

    for number in range(metrics.MOST_OPEN + 1):
        tallied.start(f"op-{number}")
    for number in (0, 1):
        tallied.finish(an_operation(f"op-{number}", state=State.DONE))

    assert [operation.operation_id for operation in recorded] == ["op-1"]
