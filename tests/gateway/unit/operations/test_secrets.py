"""Secrets go to the host that has accepted the operation, once it has, and to no other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from services.gateway.fleet.capacity import Amount
from services.gateway.operations.command import Caller
from services.gateway.operations.secrets import MOST_UNDELIVERED
from services.gateway.vms.new_vm import NewVm
from services.gateway.vms.placement import NoHostFits
from shared.contracts.errors import (
    HostUnreachable,
    InsufficientResources,
    OutcomeUnknown,
    UnreadableMessage,
    WorkerFailed,
    WorkerOutdated,
)
from shared.contracts.operations import Failure, Operation, Secrets, State
from tests.support.builders import a_heartbeat
from tests.support.core import Core
from tests.support.polling import eventually

VM = NewVm(name="new", template="busybox", amount=Amount(1, 100, 1000), root_password="hidden-1")
SECRETS = Secrets(root_password="hidden-1")
ADMIN = Caller("admin", "127.0.0.1")


def add_hosts(gateway: Core) -> None:
    gateway.add_host("h1")
    gateway.add_host("h2", memory=2000)


@pytest.fixture
def gateway(gateway: Core) -> Core:
    """Two hosts, of which `h2` is preferred."""
    add_hosts(gateway)
    return gateway


async def create(gateway: Core, vm: NewVm = VM) -> Operation:
    return await gateway.creations.create(vm, ADMIN, None)


def told(gateway: Core, host: str) -> bytes:
    return b"".join(sent for each, sent in gateway.workers.sent if each == host)


def calls(gateway: Core) -> list[tuple[str, str]]:
    return gateway.workers.called


async def test_the_order_comes_first_and_the_secrets_after_its_acceptance(gateway: Core) -> None:
    operation = await create(gateway)

    assert operation.state is State.ACCEPTED
    assert calls(gateway) == [("h2", "prepare"), ("h2", "deliver_secrets")]
    assert gateway.workers.secrets == {operation.operation_id: ("h2", SECRETS)}
    assert b"hidden" not in gateway.workers.sent[0][1]
    assert gateway.delivery.undelivered() == []


async def test_without_secrets_one_call_does(gateway: Core) -> None:
    await create(gateway, replace(VM, root_password=""))

    assert calls(gateway) == [("h2", "submit")]


@pytest.mark.attack
@pytest.mark.parametrize(
    "refusal", [InsufficientResources("h2", "memory", "100", "7"), WorkerOutdated("h2")]
)
async def test_a_host_that_refuses_has_seen_no_secret(
    gateway: Core, refusal: InsufficientResources
) -> None:
    gateway.workers.refusals["h2"] = refusal

    operation = await create(gateway)

    assert gateway.workers.secrets == {operation.operation_id: ("h1", SECRETS)}
    assert b"hidden" not in told(gateway, "h2")


async def test_a_lost_delivery_is_sent_again_to_the_same_host(gateway: Core) -> None:
    gateway.workers.lost = {"deliver_secrets"}
    operation = await create(gateway)
    gateway.workers.lost = set()

    await gateway.reconciler.resolve()
    await gateway.reconciler.resolve()

    assert operation.state is State.ACCEPTED
    assert calls(gateway)[1:] == [("h2", "deliver_secrets")] * 2
    assert told(gateway, "h1") == b""


async def test_a_lost_acceptance_is_resolved_and_then_the_secrets_follow(gateway: Core) -> None:
    gateway.workers.lost = {"prepare"}
    operation = await create(gateway)
    assert operation.state is State.SUBMITTING
    assert gateway.workers.secrets == {}

    await gateway.reconciler.resolve()

    assert (await gateway.operations.get(operation.operation_id)).state is State.ACCEPTED
    assert calls(gateway)[1:] == [("h2", "resolve"), ("h2", "deliver_secrets")]
    assert gateway.workers.secrets == {operation.operation_id: ("h2", SECRETS)}


async def test_what_never_arrived_gets_none(gateway: Core) -> None:
    gateway.workers.unreachable["h2"] = OutcomeUnknown("h2")
    operation = await create(gateway)
    gateway.workers.unreachable = {}

    await gateway.reconciler.resolve()
    await gateway.reconciler.resolve()

    assert (await gateway.operations.get(operation.operation_id)).state is State.REJECTED
    assert gateway.workers.secrets == {}
    assert gateway.delivery.undelivered() == []


@pytest.mark.attack
@pytest.mark.parametrize(
    "answer",
    [
        OutcomeUnknown("h2"),
        HostUnreachable("h2"),
        WorkerFailed("h2", "KeyError"),
        UnreadableMessage("what"),
    ],
)
async def test_once_accepted_a_creation_is_sent_to_no_other_host_whatever_this_one_does(
    gateway: Core, answer: OutcomeUnknown
) -> None:
    gateway.workers.failing["deliver_secrets"] = answer

    operation = await create(gateway)
    await gateway.reconciler.resolve()

    assert (operation.host, operation.state) == ("h2", State.ACCEPTED)
    assert told(gateway, "h1") == b""
    known = await gateway.operations.get(operation.operation_id)
    assert (known.host, known.state) == ("h2", State.ACCEPTED)


async def test_after_a_while_nothing_is_sent_any_more(gateway: Core) -> None:
    gateway.workers.failing["deliver_secrets"] = OutcomeUnknown("h2")
    await create(gateway)
    gateway.workers.failing = {}

    gateway.time.advance(30.1)
    gateway.fleet.apply("h2", a_heartbeat(sequence=1))
    await gateway.reconciler.resolve()

    assert gateway.workers.secrets == {}
    assert gateway.delivery.undelivered() == []


@pytest.mark.attack
async def test_a_silent_host_is_sent_no_secret(gateway: Core) -> None:
    gateway.workers.failing["deliver_secrets"] = OutcomeUnknown("h2")
    await create(gateway)
    before = len(calls(gateway))

    gateway.time.advance(16)
    await gateway.reconciler.resolve()

    assert len(calls(gateway)) == before


async def test_what_ended_meanwhile_gets_none(gateway: Core) -> None:
    gateway.workers.failing["deliver_secrets"] = OutcomeUnknown("h2")
    operation = await create(gateway)
    gateway.workers.failing = {}
    late = Failure(code="secrets_not_received", values=[operation.operation_id])
    ended = structs.replace(operation, state=State.CANCELLED, failure=late)
    await gateway.events.on_outcome(gateway.workers.report(ended))

    await gateway.reconciler.resolve()

    assert gateway.workers.secrets == {}
    assert gateway.delivery.undelivered() == []


async def test_a_submission_on_its_way_is_left_to_whoever_makes_it(gateway: Core) -> None:
    gateway.workers.holding["deliver_secrets"] = release = asyncio.Event()
    creating = asyncio.create_task(create(gateway))
    await eventually(lambda: ("h2", "deliver_secrets") in calls(gateway))

    await gateway.reconciler.resolve()
    release.set()
    await creating

    assert calls(gateway) == [("h2", "prepare"), ("h2", "deliver_secrets")]


async def test_who_hangs_up_in_between_does_not_keep_them_from_the_host(gateway: Core) -> None:
    gateway.workers.holding["deliver_secrets"] = asyncio.Event()
    creating = asyncio.create_task(create(gateway))
    await eventually(lambda: ("h2", "deliver_secrets") in calls(gateway))

    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    gateway.workers.holding = {}
    await gateway.reconciler.resolve()

    [(host, secrets)] = gateway.workers.secrets.values()
    assert (host, secrets) == ("h2", SECRETS)


async def test_what_all_have_refused_is_forgotten_at_once(gateway: Core) -> None:
    gateway.workers.refusal = InsufficientResources("h2", "memory", "100", "7")

    with pytest.raises(NoHostFits):
        await create(gateway)

    assert gateway.delivery.undelivered() == []
    assert b"hidden" not in told(gateway, "h1") + told(gateway, "h2")


async def test_a_gateway_that_died_takes_them_with_it(gateway: Core) -> None:
    gateway.workers.lost = {"prepare"}
    operation = await create(gateway)
    gateway.workers.lost = set()
    successor = gateway.restarted()
    add_hosts(successor)

    await successor.store.end_leases()
    await successor.reconciler.resolve()

    assert gateway.workers.secrets == {}
    assert gateway.store.operations[operation.operation_id].state is State.ACCEPTED


async def test_an_end_that_the_delivery_brings_is_told_and_kept(gateway: Core) -> None:
    gateway.workers.ends_with = Failure(code="invalid_input", values=["cloud_init", "no"])

    operation = await create(gateway)

    assert operation.state is State.CANCELLED
    assert gateway.store.operations[operation.operation_id] == operation


@pytest.mark.attack
async def test_undelivered_secrets_are_held_in_bounds(gateway: Core) -> None:
    operation = await create(gateway, replace(VM, root_password=""))

    for number in range(MOST_UNDELIVERED + 5):
        each = structs.replace(operation, operation_id=f"op-{number}")
        gateway.delivery.add(each, SECRETS, gateway.time.clock.wall() + 30)

    waiting = [each.operation_id for each in gateway.delivery.undelivered()]
    assert len(waiting) == MOST_UNDELIVERED
    assert waiting[0] == "op-5"
