"""How gateways learn to which exchange a host publishes, whose name nobody can guess."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.local import run
from services.gateway.bus.connections import CHECK_S
from services.gateway.bus.event_consumers import RENAME_S
from services.gateway.wiring import Parts
from shared.contracts.errors import HostUnreachable
from shared.contracts.operations import State
from shared.platform.bus import topology
from tests.support.broker import Vhost
from tests.support.builders import a_change, an_instance, an_operation
from tests.support.core import submit
from tests.support.host import WireHost
from tests.support.polling import eventually

from .conftest import has_read

Start = Callable[..., Awaitable[Parts]]

BEAT_S = 0.2
RENAMED_S = RENAME_S + 5.0


def described(gateway: Parts) -> str:
    return gateway.fleet.instance("web").instance.description


@asynccontextmanager
async def beating(host: WireHost) -> AsyncIterator[WireHost]:
    """Have a host that beats as a worker does."""

    async def beat() -> None:
        while True:
            await host.beat()
            await asyncio.sleep(BEAT_S)

    async with host:
        task = asyncio.create_task(beat())
        try:
            yield host
        finally:
            task.cancel()


@pytest.fixture
async def gateways(start: Start, vhost: Vhost) -> tuple[Parts, Parts]:
    """Two gateways with one database."""
    pair = (await start(vhost.uri), await start(vhost.uri))
    await eventually(lambda: all(gateway.bus.connected for gateway in pair))
    return pair


@pytest.mark.attack
async def test_no_name_of_a_host_or_a_gateway_is_guessed_from_what_another_host_is_told(
    gateways: tuple[Parts, Parts], vhost: Vhost
) -> None:
    async with (
        WireHost(vhost.host_uri("h1"), "h1", an_instance("web")) as host,
        WireHost(vhost.host_uri("h2"), "h2", an_instance("db")) as neighbour,
    ):
        await eventually(lambda: all(gateway.fleet.is_reachable("h2") for gateway in gateways))
        await eventually(lambda: host.calls and neighbour.calls)

        listed = [
            each["name"]
            for kind in ("queues", "exchanges")
            for each in vhost.broker.http.get(f"/{kind}/{vhost.name}").json()
        ]

    told = " ".join(f"{call.reply_to} {call.correlation_id}" for call in host.calls)
    named = [name for name in listed if re.search(r"\bh2\b|^gateway\b", name)]
    kinds = {"fleet.hosts.", "fleet.operations.", "lxd_worker.", "gateway."}
    assert {kind for kind in kinds for name in named if name.startswith(kind)} == kinds
    assert [name for name in named if drawn_in(name) <= drawn_in(told)] == []


def drawn_in(text: str) -> set[str]:
    """Return the parts of 128 bits each."""
    return set(re.findall("[0-9a-f]{32}", text))


async def test_a_gateway_that_starts_again_listens_to_a_known_host_before_it_beats(
    start: Start, vhost: Vhost
) -> None:
    first = await start(vhost.uri)
    await eventually(lambda: first.bus.connected)
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: has_read(first))
        await first.hosts.save()

        second = await start(vhost.uri)
        await eventually(lambda: second.bus.connected)
        changed = an_instance(description="told", revision=9)
        await host.publish("worker.instance-changed", a_change(changed, sequence=99))

        await eventually(lambda: second.fleet.ready and described(second) == "told")
        assert second.fleet.exchange_of("h1") == vhost.host_exchange("h1")


async def test_a_host_that_an_older_release_kept_without_a_name_is_found_by_its_next_heartbeat(
    start: Start, vhost: Vhost
) -> None:
    first = await start(vhost.uri)
    await eventually(lambda: first.bus.connected)
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: has_read(first))
        first.fleet.set_exchange("h1", "")
        first.hosts.mark_unsaved("h1")
        await first.hosts.save()

        second = await start(vhost.uri)
        await eventually(lambda: second.bus.connected)
        with pytest.raises(HostUnreachable):
            async with second.consoles.streams.open("h1"):
                raise AssertionError
        await host.beat()

        await eventually(lambda: has_read(second))
        operation = await submit(second)
        assert operation.state is State.ACCEPTED


async def test_a_host_whose_password_has_changed_is_read_and_called_through_its_new_exchange(
    gateways: tuple[Parts, Parts], vhost: Vhost
) -> None:
    async with beating(WireHost(vhost.host_uri("h1"), "h1", an_instance())):
        await eventually(lambda: all(map(has_read, gateways)))
        before = vhost.host_exchange("h1")

    async with beating(WireHost(vhost.renewed_host_uri("h1"), "h1", an_instance())) as host:
        await eventually(
            lambda: all(each.fleet.exchange_of("h1") != before for each in gateways),
            within_s=RENAMED_S,
        )
        await eventually(lambda: all(map(has_read, gateways)))
        # The first gateway's queue of calls may only be on its way.
        await eventually(lambda: is_called(gateways[0]))
        (called,) = host.journal.submissions
        await host.publish_operation(host.journal.finish(called.operation_id))

        async def is_kept() -> bool:
            kept = await gateways[1].store.get(called.operation_id)
            return kept is not None and kept.state is State.DONE

        await eventually(is_kept)
        assert gateways[0].fleet.exchange_of("h1") == vhost.host_exchange("h1")
        old = before.rpartition(".")[2]
        await eventually(
            lambda: queues_of(vhost, old) == ["fleet.operations"], within_s=3 * CHECK_S
        )


async def is_called(gateway: Parts) -> bool:
    try:
        await submit(gateway)
    except HostUnreachable:
        return False
    return True


def queues_of(vhost: Vhost, digest: str) -> list[str]:
    """Return the queues whose names end in a digest, each up to its host's id."""
    names = [queue["name"] for queue in vhost.queues()]
    return [name.partition(".h1")[0] for name in names if name.endswith(digest)]


def consumers_of_outcomes(vhost: Vhost) -> int:
    outcomes = (each for each in vhost.queues() if each["name"].startswith(topology.OUTCOMES))
    return sum(each.get("consumers", 0) for each in outcomes)


async def test_a_host_that_is_the_same_user_of_a_given_broker_as_the_gateway_is_found(
    start: Start, vhost: Vhost
) -> None:
    await asyncio.to_thread(run.declare_topology, vhost.uri, ["h1"])
    gateway = await start(vhost.uri)

    async with beating(WireHost(vhost.uri, "h1", an_instance())):
        await eventually(lambda: has_read(gateway))


async def test_a_given_broker_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(run.CannotStart) as refused:
        run.declare_topology("amqp://central:s3cret@127.0.0.1:1/", ["h1"])

    assert "refused" in str(refused.value)
    assert "s3cret" not in str(refused.value)


async def test_what_waits_under_the_old_name_is_read_when_the_gateway_comes_back_first(
    start: Start, vhost: Vhost
) -> None:
    uri, exchange = vhost.host_uri("h1"), vhost.host_exchange("h1")
    first = await start(vhost.uri)
    await eventually(lambda: first.bus.connected)
    async with WireHost(uri, "h1", an_instance()) as host:
        await eventually(lambda: has_read(first))
        await first.hosts.save()
        # As while no gateway runs.
        await first.consumers._subscriptions["h1"].close()
        await eventually(lambda: consumers_of_outcomes(vhost) == 0)
        await host.publish_operation(an_operation("waiting", host="h1", state=State.DONE))
    vhost.renewed_host_uri("h1")

    second = await start(vhost.uri)

    async def is_kept() -> bool:
        return await second.store.get("waiting") is not None

    await eventually(is_kept)
    assert second.fleet.exchange_of("h1") == exchange
