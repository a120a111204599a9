"""What `submit` promises: at most once, and the truth about it."""

import asyncio
from dataclasses import replace

import pytest

from services.gateway.operations.store import IdempotencyKey
from shared.contracts.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    FleetError,
    HostIdentityMismatch,
    HostUnreachable,
    IdempotencyKeyReused,
    InstanceNotFound,
    LxdUnavailable,
    OperationInProgress,
    OutcomeUnknown,
    PermanentError,
    UnreadableMessage,
    WorkerFailed,
)
from shared.contracts.operations import Kind, State
from tests.support.builders import a_heartbeat
from tests.support.core import Core

KEY = IdempotencyKey("admin", "k1", "body-1")


async def test_a_change_is_recorded_handed_over_and_accepted(gateway: Core) -> None:
    operation = await gateway.submit(Kind.STOP)

    stored = gateway.store.operations[operation.operation_id]
    assert operation.state is stored.state is State.ACCEPTED
    assert (stored.host, stored.instance, stored.uuid) == ("h1", "web", "uuid-web")
    assert (stored.principal, stored.correlation_id) == ("admin", "c-1")
    assert gateway.store.requests[operation.operation_id].address == "127.0.0.1"


async def test_the_time_of_the_request_is_the_gateways(gateway: Core) -> None:
    operation = await gateway.submit()

    assert operation.created_at == "2026-11-18T11:06:40.000Z"


async def test_the_worker_is_told_until_when_it_may_start(gateway: Core) -> None:
    await gateway.submit()

    told = gateway.workers.submissions[0]
    assert (told.start_by, told.start_within_s) == ("1795000030.000", 30.0)


async def test_the_record_is_there_before_the_worker_hears_of_it(gateway: Core) -> None:
    gateway.workers.hold = asyncio.Event()

    submitting = asyncio.create_task(gateway.submit())
    await asyncio.sleep(0.01)
    recorded = [operation.state for operation in gateway.store.operations.values()]
    gateway.workers.hold.set()
    await submitting

    assert recorded == [State.SUBMITTING]


@pytest.mark.parametrize(
    "refusal",
    [
        OperationInProgress("web", "other"),
        InstanceNotFound("web"),
        LxdUnavailable("h1"),
        HostUnreachable("h1"),
        BrokerUnavailable(),
    ],
)
async def test_a_refusal_is_told_and_recorded_as_rejected(
    gateway: Core, refusal: FleetError
) -> None:
    gateway.workers.refusal = refusal

    with pytest.raises(type(refusal)):
        await gateway.submit()

    (stored,) = gateway.store.operations.values()
    assert stored.state is State.REJECTED
    assert (stored.failure.code, stored.failure.values) == (refusal.code, list(refusal.values))


async def test_a_silent_host_is_refused_without_a_trace(gateway: Core) -> None:
    gateway.time.advance(16)

    with pytest.raises(HostUnreachable):
        await gateway.submit()

    assert gateway.store.operations == {}
    assert gateway.workers.called == []


async def test_a_stranger_is_sent_nothing(gateway: Core) -> None:
    gateway.fleet.apply("h1", a_heartbeat(fingerprint="other"))

    with pytest.raises(HostIdentityMismatch):
        await gateway.submit()

    assert gateway.workers.called == []


async def test_nothing_is_sent_that_could_not_be_recorded(gateway: Core) -> None:
    gateway.store.away = True

    with pytest.raises(DatabaseUnavailable):
        await gateway.submit()

    assert gateway.workers.called == []


@pytest.mark.parametrize(
    "answer",
    [
        OutcomeUnknown("h1"),
        UnreadableMessage("newer"),
        PermanentError("KeyError: x"),
        DatabaseUnavailable(),
        WorkerFailed("h1", "KeyError: x"),
    ],
)
async def test_an_answer_that_proves_nothing_leaves_the_operation_submitting(
    gateway: Core, answer: FleetError
) -> None:
    gateway.workers.refusal = answer

    operation = await gateway.submit()

    assert operation.state is State.SUBMITTING
    assert gateway.store.operations[operation.operation_id].state is State.SUBMITTING


async def test_an_accepted_operation_is_not_denied_because_the_database_went_away(
    gateway: Core,
) -> None:
    gateway.workers.hold = asyncio.Event()
    submitting = asyncio.create_task(gateway.submit())
    await asyncio.sleep(0.01)

    gateway.store.away = True
    gateway.workers.hold.set()

    assert (await submitting).state is State.ACCEPTED


async def test_a_repeated_key_returns_the_first_operation_and_sends_nothing(gateway: Core) -> None:
    first = await gateway.submit(key=KEY)

    second = await gateway.submit(key=KEY)

    assert second.operation_id == first.operation_id
    assert len(gateway.workers.submissions) == 1


async def test_a_repeated_key_is_answered_while_the_host_is_away(gateway: Core) -> None:
    first = await gateway.submit(key=KEY)
    gateway.time.advance(16)

    assert await gateway.submit(key=KEY) == first


async def test_a_repeated_key_tells_the_newest_news(gateway: Core) -> None:
    first = await gateway.submit(key=KEY)
    gateway.cache.record(gateway.workers.finish(first.operation_id))

    again = await gateway.submit(key=KEY)

    assert again.state is State.DONE


async def test_a_key_is_recalled_without_its_target(gateway: Core) -> None:
    first = await gateway.submit(key=KEY)

    assert await gateway.operations.find_by_key(KEY) == first
    assert await gateway.operations.find_by_key(replace(KEY, key="k2")) is None
    with pytest.raises(IdempotencyKeyReused):
        await gateway.operations.find_by_key(replace(KEY, fingerprint="body-2"))


async def test_a_key_that_comes_twice_at_once_makes_one_operation(gateway: Core) -> None:
    twice = [gateway.submit(key=KEY) for _ in range(2)]

    first, second = await asyncio.gather(*twice)

    assert first.operation_id == second.operation_id
    assert len(gateway.workers.submissions) == 1


async def test_a_key_with_another_request_is_refused(gateway: Core) -> None:
    await gateway.submit(key=KEY)

    with pytest.raises(IdempotencyKeyReused):
        await gateway.submit(key=replace(KEY, fingerprint="body-2"))


@pytest.mark.parametrize(
    ("refusal", "operations"), [(BrokerUnavailable(), 2), (InstanceNotFound("web"), 1)]
)
async def test_a_temporary_refusal_frees_the_key_and_a_permanent_one_does_not(
    gateway: Core, refusal: FleetError, operations: int
) -> None:
    gateway.workers.refusal = refusal
    with pytest.raises(type(refusal)):
        await gateway.submit(key=KEY)

    gateway.workers.refusal = None
    await gateway.submit(key=KEY)

    assert len(gateway.store.operations) == operations
