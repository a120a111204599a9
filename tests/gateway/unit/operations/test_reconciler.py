"""Operations whose submission was never answered come to a true end."""

import asyncio
from dataclasses import replace

import pytest

from services.gateway.operations.reconciler import MOST_S_PER_HOST
from services.gateway.operations.store import IdempotencyKey
from shared.contracts.errors import HostUnreachable, OutcomeUnknown
from shared.contracts.operations import Operation, State
from tests.support.builders import a_heartbeat
from tests.support.core import Core

KEY = IdempotencyKey("admin", "k1", "body-1")


async def lost(gateway: Core, *, arrived: bool, key: str = "k1") -> Operation:
    """Submit with the answer lost; `arrived`: the worker had journalled it."""
    if arrived:
        gateway.workers.loses_answers = True
    else:
        gateway.workers.unreachable = {"h1": OutcomeUnknown("h1")}
    operation = await gateway.submit(key=replace(KEY, key=key))
    gateway.workers.loses_answers, gateway.workers.unreachable = False, {}
    return operation


async def test_what_arrived_is_accepted_once_its_worker_is_asked(gateway: Core) -> None:
    operation = await lost(gateway, arrived=True)

    await gateway.reconciler.resolve()

    known = await gateway.operations.get(operation.operation_id)
    assert known.state is State.ACCEPTED
    assert len(gateway.workers.submissions) == 1


async def test_what_never_arrived_is_rejected_and_can_never_arrive(gateway: Core) -> None:
    operation = await lost(gateway, arrived=False)

    await gateway.reconciler.resolve()

    known = await gateway.operations.get(operation.operation_id)
    assert known.state is State.REJECTED
    assert known.failure.code == "host_unreachable"
    assert gateway.workers.tombstones == {operation.operation_id}


@pytest.mark.attack
async def test_an_operation_that_its_worker_cannot_read_holds_up_no_other(gateway: Core) -> None:
    operations = [await lost(gateway, arrived=False, key=key) for key in ("k1", "k2", "k3")]
    gateway.workers.damaged = {operations[0].operation_id}

    await gateway.reconciler.resolve()

    known = [await gateway.operations.get(one.operation_id) for one in operations]
    assert [one.state for one in known] == [State.SUBMITTING, State.REJECTED, State.REJECTED]


@pytest.mark.attack
async def test_a_host_that_answers_slowly_keeps_a_round_open_for_a_while_only(
    gateway: Core,
) -> None:
    for key in ("k1", "k2", "k3", "k4"):
        await lost(gateway, arrived=False, key=key)

    def answer_late(host: str, operation_id: str) -> None:
        gateway.time.advance(MOST_S_PER_HOST * 0.9)

    gateway.workers.answers = {"resolve": answer_late}
    await gateway.reconciler.resolve()
    in_one_round = gateway.workers.called.count(("h1", "resolve"))
    gateway.fleet.apply("h1", a_heartbeat(sequence=1))
    await gateway.reconciler.resolve()

    assert in_one_round == 2
    assert {each.state for each in gateway.store.operations.values()} == {State.REJECTED}


async def test_the_key_of_what_never_arrived_is_free_again(gateway: Core) -> None:
    operation = await lost(gateway, arrived=False)
    await gateway.reconciler.resolve()

    again = await gateway.submit(key=KEY)

    assert again.operation_id != operation.operation_id


async def test_who_waits_hears_of_the_rejection(gateway: Core) -> None:
    operation = await lost(gateway, arrived=False)
    waiting = asyncio.create_task(gateway.operations.wait(operation.operation_id, 5))
    await asyncio.sleep(0.01)

    await gateway.reconciler.resolve()

    assert (await waiting).state is State.REJECTED


async def test_an_unanswered_question_is_asked_again(gateway: Core) -> None:
    operation = await lost(gateway, arrived=False)

    gateway.workers.unreachable = {"h1": HostUnreachable("h1")}
    await gateway.reconciler.resolve()
    still = await gateway.operations.get(operation.operation_id)
    gateway.workers.unreachable = {}
    await gateway.reconciler.resolve()

    assert still.state is State.SUBMITTING
    assert (await gateway.operations.get(operation.operation_id)).state is State.REJECTED


async def test_a_silent_host_or_a_stranger_is_not_asked(gateway: Core) -> None:
    await lost(gateway, arrived=False)
    asked = len(gateway.workers.called)

    gateway.fleet.apply("h1", a_heartbeat(fingerprint="other"))
    await gateway.reconciler.resolve()
    gateway.fleet.apply("h1", a_heartbeat())
    gateway.time.advance(16)
    await gateway.reconciler.resolve()

    assert len(gateway.workers.called) == asked


async def test_a_submission_on_its_way_is_left_alone(gateway: Core) -> None:
    gateway.workers.hold = asyncio.Event()
    submitting = asyncio.create_task(gateway.submit())
    await asyncio.sleep(0.01)

    await gateway.reconciler.resolve()
    gateway.workers.hold.set()

    assert (await submitting).state is State.ACCEPTED
    assert gateway.workers.tombstones == set()


async def test_a_submission_cut_off_by_its_caller_is_resolved(gateway: Core) -> None:
    gateway.workers.hold = asyncio.Event()
    submitting = asyncio.create_task(gateway.submit())
    await asyncio.sleep(0.01)

    submitting.cancel()
    await asyncio.gather(submitting, return_exceptions=True)
    await gateway.reconciler.resolve()

    (stored,) = gateway.store.operations.values()
    assert stored.state is State.REJECTED


async def test_what_a_killed_gateway_left_behind_is_resolved_at_the_next_start(
    gateway: Core,
) -> None:
    operation = await lost(gateway, arrived=False)
    successor = gateway.restarted()

    await successor.store.end_leases()
    await successor.reconciler.resolve()

    assert gateway.store.operations[operation.operation_id].state is State.REJECTED


async def test_another_gateways_submission_is_its_own_business_until_the_lease_ends(
    gateway: Core,
) -> None:
    operation = await lost(gateway, arrived=False)
    other = gateway.restarted()

    await other.reconciler.resolve()
    early = gateway.store.operations[operation.operation_id].state
    gateway.time.advance(15.1)
    other.fleet.apply("h1", a_heartbeat(sequence=1))
    await other.reconciler.resolve()

    assert early is State.SUBMITTING
    assert gateway.store.operations[operation.operation_id].state is State.REJECTED
