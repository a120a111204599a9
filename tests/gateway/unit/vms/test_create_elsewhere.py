"""A new instance whose host does not take it: where it goes then, and that it is made once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from services.gateway.fleet.capacity import Amount
from services.gateway.operations.command import Caller
from services.gateway.operations.store import IdempotencyKey, OperationFilter
from services.gateway.vms.new_vm import NewVm
from services.gateway.vms.placement import NoHostFits, NoHostForNow, Shortfall
from shared.contracts.codec import encode
from shared.contracts.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    FleetError,
    HostBusy,
    HostIdentityMismatch,
    HostUnreachable,
    ImageNotFound,
    InstanceExists,
    InsufficientResources,
    InvalidInput,
    LxdRefused,
    LxdUnavailable,
    OperationExpired,
    OperationRefused,
    OutcomeUnknown,
    PermanentError,
    PortInUse,
    UnreadableMessage,
)
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Operation, State
from tests.support.builders import a_heartbeat
from tests.support.core import Core
from tests.support.polling import eventually

VM = NewVm(name="Web Server", template="busybox", amount=Amount(1, 100, 1000))
ADMIN = Caller("admin", "127.0.0.1")
FULL = InsufficientResources("h3", "memory", "100", "7")


@pytest.fixture
def gateway(gateway: Core) -> Core:
    """Three hosts; `h3` is preferred, then `h2`."""
    for number in (1, 2, 3):
        gateway.add_host(f"h{number}", memory=1000 + number)
    gateway.operations.watch(gateway.pending.record)
    return gateway


async def create(gateway: Core, vm: NewVm = VM, key: str | None = None) -> Operation:
    idempotency_key = IdempotencyKey("admin", key, "body") if key else None
    return await gateway.creations.create(vm, ADMIN, idempotency_key)


def asked(gateway: Core) -> list[str]:
    return [host for host, method in gateway.workers.called if method == "submit"]


async def test_the_next_host_gets_what_the_first_one_refuses(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL

    operation = await create(gateway)

    assert (operation.host, operation.state) == ("h2", State.ACCEPTED)
    assert [each.host for each in gateway.workers.submissions] == ["h2"]
    reason = operation.arguments.placement
    assert "on h2, of 2 able; refused by h3: memory (" in reason
    assert (await gateway.operations.get(operation.operation_id)).arguments.placement == reason


@pytest.mark.attack
async def test_the_host_that_takes_it_is_not_told_which_others_have_refused(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL

    operation = await create(gateway)
    gateway.events.on_event(
        "h2", OperationChanged(operation=gateway.workers.finish(operation.operation_id))
    )

    [told] = gateway.workers.submissions
    assert b"h3" not in encode(told)
    ended = await gateway.operations.get(operation.operation_id)
    assert ended.state is State.DONE
    assert "refused by h3" in ended.arguments.placement


async def test_it_stays_one_operation_of_one_id(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL

    operation = await create(gateway)

    assert list(gateway.store.operations) == [operation.operation_id] == [operation.uuid]
    assert gateway.store.operations[operation.uuid].host == "h2"
    assert await gateway.operations.get(operation.uuid) == operation
    assert [known.host for known in gateway.creations.vms.with_uuid(operation.uuid)] == ["h2"]
    assert [known.host for known in gateway.cache.merge_with_stored((), OperationFilter())] == [
        "h2"
    ]


async def test_the_lease_and_the_time_to_start_begin_anew(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    gateway.workers.hold = asyncio.Event()
    creating = asyncio.create_task(create(gateway))
    await asyncio.sleep(0)
    gateway.time.advance(10)

    gateway.workers.hold.set()
    operation = await creating

    lease = gateway.store.requests[operation.operation_id].lease
    assert lease.until == gateway.time.clock.wall() + 15
    assert gateway.workers.submissions[0].start_by == f"{gateway.time.clock.wall() + 30:.3f}"


@pytest.mark.parametrize(
    ("refusal", "what"),
    [
        (FULL, "memory"),
        (InsufficientResources("h3", "ports", "3", "1"), "ports (3 > 1)"),
        (InsufficientResources("h3", "ports", "many", "-1"), "ports"),
        (PortInUse("h3", "80"), "ports"),
        (ImageNotFound("busybox"), "image"),
        (InvalidInput("network", "one of: br0"), "network"),
        (InvalidInput("project", "one that is served"), "project"),
        (HostUnreachable("h3"), "connection"),
        (LxdUnavailable("h3"), "connection"),
        (HostIdentityMismatch("h3"), "connection"),
        (HostBusy("h3"), "time"),
        (OperationExpired("op-1"), "time"),
    ],
)
async def test_what_another_host_may_have_is_sought_there(
    gateway: Core, refusal: FleetError, what: str
) -> None:
    gateway.workers.refusals["h3"] = refusal

    operation = await create(gateway)

    assert operation.host == "h2"
    assert f"refused by h3: {what}" in operation.arguments.placement


@pytest.mark.parametrize(
    "refusal",
    [
        InstanceExists("web-server"),
        InvalidInput("ssh_keys", "one on each line"),
        OperationRefused("op-1"),
        BrokerUnavailable(),
        LxdRefused("no"),
    ],
)
async def test_what_is_not_up_to_the_host_is_told_at_once(
    gateway: Core, refusal: FleetError
) -> None:
    gateway.workers.refusals["h3"] = refusal

    with pytest.raises(type(refusal)):
        await create(gateway)

    [stored] = gateway.store.operations.values()
    assert asked(gateway) == ["h3"]
    assert (stored.host, stored.state) == ("h3", State.REJECTED)
    assert gateway.pending.all() == {}


@pytest.mark.parametrize(
    "answer",
    [
        OutcomeUnknown("h3"),
        UnreadableMessage("newer"),
        PermanentError("KeyError: x"),
        DatabaseUnavailable(),
    ],
)
async def test_a_host_that_may_have_taken_it_is_not_left(gateway: Core, answer: FleetError) -> None:
    gateway.workers.refusals["h3"] = answer

    operation = await create(gateway)

    assert asked(gateway) == ["h3"]
    assert (operation.host, operation.state) == ("h3", State.SUBMITTING)


async def test_a_second_host_that_may_have_taken_it_is_not_left_either(gateway: Core) -> None:
    gateway.workers.refusals = {"h3": FULL, "h2": OutcomeUnknown("h2")}

    operation = await create(gateway)
    del gateway.workers.refusals["h2"]
    await gateway.reconciler.resolve()

    assert asked(gateway) == ["h3", "h2"]
    assert gateway.workers.called[-1] == ("h2", "resolve")
    assert (await gateway.operations.get(operation.operation_id)).state is State.REJECTED


@pytest.mark.parametrize(("doubtful", "taker"), [("h3", "h2"), ("h2", "h1")])
async def test_a_host_that_is_not_sure_to_be_itself_is_not_even_asked(
    gateway: Core, doubtful: str, taker: str
) -> None:
    gateway.fleet.apply(doubtful, a_heartbeat(epoch=2, fingerprint=""))
    if doubtful != "h3":
        gateway.workers.refusals["h3"] = FULL

    operation = await create(gateway)

    assert operation.host == taker
    assert doubtful not in asked(gateway)
    assert f"{doubtful}: connection" in operation.arguments.placement


async def test_the_host_that_is_asked_for_is_the_only_one_asked(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL

    with pytest.raises(InsufficientResources):
        await create(gateway, replace(VM, host="h3"))

    assert asked(gateway) == ["h3"]


async def test_the_only_host_there_is_speaks_for_itself() -> None:
    gateway = Core()
    gateway.add_host("h1")
    gateway.workers.refusal = HostBusy("h1")

    with pytest.raises(HostBusy):
        await create(gateway)


async def test_when_all_refuse_the_reason_of_each_is_told(gateway: Core) -> None:
    gateway.workers.refusals = {"h3": FULL, "h2": ImageNotFound("busybox"), "h1": FULL}

    with pytest.raises(NoHostFits) as refused:
        await create(gateway, key="k1")

    assert refused.value.lacks == {
        "h1": [Shortfall("memory", 100, 7)],
        "h2": [Shortfall("image")],
        "h3": [Shortfall("memory", 100, 7)],
    }
    [stored] = gateway.store.operations.values()
    assert asked(gateway) == ["h3", "h2", "h1"]
    assert (stored.host, stored.state) == ("h1", State.REJECTED)
    assert "refused by h3: memory" in stored.arguments.placement
    assert gateway.pending.all() == {}
    assert gateway.creations.vms.with_uuid(stored.uuid) == []


async def test_hosts_that_were_not_able_are_told_beside_those_that_refused(gateway: Core) -> None:
    gateway.workers.refusals = {"h3": PortInUse("h3", "80"), "h2": PortInUse("h2", "80")}
    gateway.add_host("h1", memory=50)

    with pytest.raises(NoHostFits) as refused:
        await create(gateway)

    assert refused.value.lacks["h1"] == [Shortfall("memory", 100, 50)]
    assert refused.value.lacks["h2"] == [Shortfall("ports")]


async def test_a_reason_that_may_pass_invites_to_come_again(gateway: Core) -> None:
    gateway.workers.refusals = {"h3": FULL, "h2": HostBusy("h2"), "h1": FULL}

    with pytest.raises(NoHostForNow) as refused:
        await create(gateway)

    assert str(refused.value).startswith("no host can take it now: h1: memory")


async def test_a_key_stands_for_what_another_host_took(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL

    first = await create(gateway, key="k1")
    gateway.workers.refusals.clear()
    repeated = await gateway.operations.find_by_key(IdempotencyKey("admin", "k1", "body"))

    assert repeated == first
    assert len(gateway.workers.submissions) == 1


async def test_a_key_that_is_repeated_meanwhile_gets_the_same_id(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    gateway.workers.hold = asyncio.Event()
    creating = asyncio.create_task(create(gateway, key="k1"))
    await asyncio.sleep(0)

    repeated = await gateway.operations.find_by_key(IdempotencyKey("admin", "k1", "body"))
    gateway.workers.hold.set()

    assert repeated is not None
    assert (await creating).operation_id == repeated.operation_id


async def test_a_key_is_free_again_when_all_have_refused(gateway: Core) -> None:
    gateway.workers.refusal = FULL
    with pytest.raises(NoHostFits):
        await create(gateway, key="k1")
    gateway.workers.refusal = None

    operation = await create(gateway, key="k1")

    assert operation.state is State.ACCEPTED


async def test_it_is_counted_once_where_it_goes(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    seen: list[list[str]] = []
    gateway.operations.watch(
        lambda _: seen.append([target.host for target in gateway.pending.all()])
    )

    await create(gateway)

    assert seen == [["h3"], ["h2"], ["h2"]]
    assert [target.host for target in gateway.pending.all()] == ["h2"]


async def test_who_waits_for_it_hears_of_its_end_elsewhere(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    gateway.workers.hold = asyncio.Event()
    creating = asyncio.create_task(create(gateway))
    await asyncio.sleep(0)
    [begun] = gateway.store.operations
    waiting = asyncio.create_task(gateway.operations.wait(begun, 30))
    await asyncio.sleep(0)

    gateway.workers.hold.set()
    await creating
    gateway.cache.record(gateway.workers.finish(begun))

    ended = await waiting
    assert (ended.host, ended.state) == ("h2", State.DONE)


async def test_the_name_on_the_next_host_is_one_that_is_free_there(gateway: Core) -> None:
    gateway.workers.refusals = {"h3": FULL, "h1": FULL}
    await create(gateway, replace(VM, name="web server", host="h2"))

    operation = await create(gateway)

    assert (operation.host, operation.instance) == ("h2", "web-server-2")


async def test_what_another_gateway_has_given_up_goes_nowhere_else(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    gateway.workers.hold = asyncio.Event()
    creating = asyncio.create_task(create(gateway))
    await asyncio.sleep(0)
    [begun] = gateway.store.operations.values()
    await gateway.store.merge([structs.replace(begun, state=State.REJECTED)])

    gateway.workers.hold.set()

    with pytest.raises(InsufficientResources):
        await creating
    assert asked(gateway) == ["h3"]


async def test_who_resolves_it_meanwhile_asks_the_host_that_it_was_moved_to(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    first, second = asyncio.Event(), asyncio.Event()
    gateway.workers.hold = first
    creating = asyncio.create_task(create(gateway))
    await asyncio.sleep(0)
    gateway.workers.hold = second
    first.set()
    await eventually(lambda: asked(gateway) == ["h3", "h2"])
    other = gateway.restarted()
    gateway.time.advance(16)
    for host in ("h1", "h2", "h3"):
        other.fleet.apply(host, a_heartbeat())

    await other.reconciler.resolve()
    second.set()

    with pytest.raises(OperationRefused):
        await creating
    [stored] = gateway.store.operations.values()
    assert gateway.workers.called[-1] == ("h2", "resolve")
    assert (stored.host, stored.state) == ("h2", State.REJECTED)
    assert gateway.workers.submissions == []


async def test_without_the_database_it_goes_nowhere_else(gateway: Core) -> None:
    gateway.workers.refusals["h3"] = FULL
    gateway.workers.hold = asyncio.Event()
    creating = asyncio.create_task(create(gateway))
    await asyncio.sleep(0)

    gateway.store.away = True
    gateway.workers.hold.set()

    with pytest.raises(DatabaseUnavailable):
        await creating
    assert asked(gateway) == ["h3"]


async def test_gateways_give_a_name_once_at_the_same_moment(gateway: Core) -> None:
    other = gateway.restarted()
    for number in (1, 2, 3):
        other.add_host(f"h{number}")
    first = await create(gateway)

    with pytest.raises(InstanceExists):
        await create(other)

    there = await create(other, replace(VM, host="h1"))
    assert (first.host, there.host) == ("h3", "h1")


async def test_a_name_is_free_again_when_its_creation_has_failed(gateway: Core) -> None:
    first = await create(gateway)
    failed = gateway.workers.report(structs.replace(first, state=State.FAILED))
    await gateway.events.on_outcome(failed)

    again = await create(gateway)

    assert again.state is State.ACCEPTED
