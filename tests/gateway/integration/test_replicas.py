"""Two gateways share one PostgreSQL, one broker and the work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.operations.command import Caller
from services.gateway.operations.store import IdempotencyKey, OperationFilter
from services.gateway.vms.new_vm import NewVm
from services.gateway.vms.placement import offer_of
from services.gateway.wiring import Parts
from shared.contracts.errors import InstanceExists, InsufficientResources
from shared.contracts.hosts import Capacity, Image
from shared.contracts.operations import Operation, State
from tests.support.broker import Vhost
from tests.support.builders import a_description, an_instance
from tests.support.core import submit
from tests.support.host import WireHost
from tests.support.polling import eventually
from tests.support.postgresql import fresh_database

from .conftest import has_read

Start = Callable[..., Awaitable[Parts]]

BUSYBOX = Image(fingerprint="ab12", aliases=("busybox",))


@pytest.fixture
async def gateways(start: Start, vhost: Vhost, postgresql: str) -> tuple[Parts, Parts]:
    url = fresh_database(postgresql)
    pair = (await start(vhost.uri, url), await start(vhost.uri, url))
    await eventually(lambda: all(gateway.bus.connected for gateway in pair))
    return pair


@pytest.fixture
async def host(gateways: tuple[Parts, Parts], vhost: Vhost) -> AsyncIterator[WireHost]:
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: all(has_read(gateway) for gateway in gateways))
        yield host


KEY = IdempotencyKey("admin", "k1", "body")


async def test_an_outcome_is_known_on_the_gateway_that_was_not_asked(
    gateways: tuple[Parts, Parts], host: WireHost
) -> None:
    asked, other = gateways
    operation = await submit(asked)

    waiting = asyncio.create_task(other.operations.wait(operation.operation_id, 5))
    after = an_instance(revision=9, status="Stopped")
    done = host.journal.finish(operation.operation_id, after=after, after_epoch=1)
    await host.publish_operation(done)

    assert (await waiting).state is State.DONE
    assert other.fleet.instance("web").instance.status == "Stopped"


async def test_a_key_sent_to_both_at_once_makes_one_operation(
    gateways: tuple[Parts, Parts], host: WireHost
) -> None:
    both = [submit(gateway, key=KEY) for gateway in gateways]

    first, second = await asyncio.gather(*both)

    assert first.operation_id == second.operation_id
    assert len(host.journal.submissions) == 1


async def test_a_submission_on_its_way_is_left_alone_by_the_other(
    gateways: tuple[Parts, Parts], host: WireHost
) -> None:
    asked, other = gateways
    host.journal.hold = asyncio.Event()
    submitting = asyncio.create_task(submit(asked))
    await eventually(lambda: any("submit" in str(call.routing_key) for call in host.calls))

    await other.reconciler.resolve()
    host.journal.hold.set()

    assert (await submitting).state is State.ACCEPTED
    assert host.journal.tombstones == set()


@pytest.fixture
async def hosts(gateways: tuple[Parts, Parts], vhost: Vhost) -> AsyncIterator[list[WireHost]]:
    """Two hosts; `h2` has more room, and is preferred."""
    async with (
        WireHost(vhost.host_uri("h1"), "h1") as first,
        WireHost(vhost.host_uri("h2"), "h2") as second,
    ):
        await eventually(lambda: all(len(gateway.fleet.host_ids()) == 2 for gateway in gateways))
        for memory, host in ((100, first), (1000, second)):
            room = Capacity(cpu=4, memory=memory, disk=4)
            told = a_description(capacity=room, images=[BUSYBOX], projects=["default"])
            await host.publish("worker.host", told)
        await eventually(lambda: all(are_able(gateway) for gateway in gateways))
        yield [first, second]


def are_able(gateway: Parts) -> bool:
    ids = gateway.fleet.host_ids()
    able = {host for host in ids if offer_of(gateway.fleet.host(host))}
    return gateway.fleet.ready and able == {"h1", "h2"}


def create(gateway: Parts, name: str) -> Coroutine[None, None, Operation]:
    wanted = NewVm(name=name, template="busybox", amount=Amount(1, 100, 1))
    return gateway.creations.create(wanted, Caller("admin", "127.0.0.1"), None)


async def test_a_name_that_both_are_asked_for_at_once_is_given_once(
    gateways: tuple[Parts, Parts], hosts: list[WireHost]
) -> None:
    results = await asyncio.gather(
        *(create(gateway, "web") for gateway in gateways), return_exceptions=True
    )

    [refused] = [result for result in results if isinstance(result, Exception)]
    assert isinstance(refused, InstanceExists)
    assert sum(len(host.journal.submissions) for host in hosts) == 1


async def test_what_one_gateway_has_promised_sends_the_others_creation_to_the_next_host(
    gateways: tuple[Parts, Parts], hosts: list[WireHost]
) -> None:
    asked, other = gateways
    hosts[1].journal.refusal = InsufficientResources("h2", "memory", "100", "1")

    operation = await create(asked, "web")

    assert (operation.host, operation.state) == ("h1", State.ACCEPTED)
    assert "refused by h2: memory" in operation.arguments.placement
    assert [each.host for each in await other.store.list(OperationFilter())] == ["h1"]
    assert hosts[0].journal.submissions[0].arguments.create == operation.arguments.create


async def test_a_host_is_left_when_it_is_gone_and_not_when_it_is_silent(
    gateways: tuple[Parts, Parts], hosts: list[WireHost]
) -> None:
    asked, _ = gateways
    hosts[1].silent = True

    unknown = await create(asked, "web")
    taken_meanwhile = list(hosts[0].journal.submissions)
    await hosts[1].disconnect()
    moved = await create(asked, "db")

    assert (unknown.host, unknown.state, taken_meanwhile) == ("h2", State.SUBMITTING, [])
    assert (moved.host, moved.state) == ("h1", State.ACCEPTED)


async def test_many_outcomes_are_shared_out_and_all_kept(
    gateways: tuple[Parts, Parts], host: WireHost
) -> None:
    operations = [await submit(gateways[0]) for _ in range(30)]

    for operation in operations:
        await host.publish_operation(host.journal.finish(operation.operation_id))

    async def all_kept() -> bool:
        done = await gateways[0].store.list(OperationFilter(state="done", limit=100))
        return len(done) == 30

    await eventually(all_kept)
