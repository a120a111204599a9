"""A host that publishes as fast as it can, beside one that does not."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from services.gateway.bus.connections import CHECK_S
from services.gateway.wiring import Parts
from shared.contracts.operations import State
from shared.platform.bus import topology
from tests.support.broker import Vhost
from tests.support.builders import a_change, a_heartbeat, an_instance, an_operation
from tests.support.daemons import ROOT
from tests.support.flood import KINDS
from tests.support.host import WireHost
from tests.support.polling import eventually

FLOOD_S = 3.0
CHANGES = 100
HOSTS = 200
NOWHERE = "amqp://nobody:nothing@127.0.0.1:1/"


def inventories_asked_of(host: WireHost) -> int:
    return sum(str(call.routing_key).endswith(".publish_inventory") for call in host.calls)


def throttled(gateway: Parts, host: str) -> bool:
    name = "lxdfleet_gateway_throttled_messages_total"
    return f'{name}{{host="{host}"}}' in gateway.telemetry.text().decode()


@pytest.mark.attack
@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_costs_the_neighbour_no_event_and_no_outcome(
    gateway: Parts, hosts: tuple[WireHost, WireHost], vhost: Vhost, kind: str
) -> None:
    flooding, neighbour = hosts
    more = [str(flooding.calls[0].reply_to)] if kind == "answers" else []
    arguments = [vhost.host_uri("h1"), "h1", kind, str(FLOOD_S), *more]
    flood = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.flood", *arguments), cwd=ROOT
    )
    await eventually(lambda: throttled(gateway, "h1"), within_s=20)
    asked_before = inventories_asked_of(neighbour)

    for number in range(CHANGES):
        changed = an_instance("db", revision=number + 2, description=f"{number}")
        await neighbour.publish(
            "worker.instance-changed", a_change(changed, sequence=neighbour.next_sequence())
        )
    await neighbour.publish_operation(an_operation("of-h2", host="h2", state=State.DONE))

    async def kept() -> bool:
        return await gateway.store.get("of-h2") is not None

    await eventually(kept)
    await neighbour.beat()
    described = lambda: gateway.fleet.instance("db").instance.description  # noqa: E731
    await eventually(lambda: described() == f"{CHANGES - 1}")
    assert inventories_asked_of(neighbour) == asked_before
    assert not throttled(gateway, "h2")
    assert await flood.wait() == 0


async def test_a_host_that_is_forgotten_is_listened_to_no_more(
    gateway: Parts, hosts: tuple[WireHost, WireHost], vhost: Vhost
) -> None:
    await hosts[0].disconnect()
    gateway.fleet._hosts["h1"]._alive_at = None

    await gateway.hosts.forget("h1")

    def open_queues() -> list[str]:
        listed = vhost.queues()
        return [queue["name"] for queue in listed if ".h1." in queue["name"]]

    kept = topology.outcomes_queue(vhost.host_exchange("h1")).name
    await eventually(lambda: open_queues() == [kept], within_s=3 * CHECK_S)


async def test_a_forgotten_host_that_comes_back_is_found_again(
    gateway: Parts, hosts: tuple[WireHost, WireHost]
) -> None:
    gateway.fleet._hosts["h1"]._alive_at = None
    await gateway.hosts.forget("h1")
    await asyncio.sleep(2 * CHECK_S)

    await hosts[0].beat()

    await eventually(lambda: "h1" in gateway.fleet.host_ids())
    await eventually(lambda: len(gateway.fleet.instances()) == 2)


async def test_many_hosts_are_connected_within_seconds(
    start: Callable[..., Awaitable[Parts]], vhost: Vhost
) -> None:
    first = await start(NOWHERE)
    for number in range(HOSTS):
        host = f"host-{number}"
        first.events.on_discovered(host, topology.host_exchange(host, "secret"), a_heartbeat())
    await first.hosts.save()

    began = time.monotonic()
    second = await start(vhost.uri)
    await eventually(lambda: second.bus.connected, within_s=30)

    assert len(second.fleet.host_ids()) == HOSTS
    assert time.monotonic() - began < 15
