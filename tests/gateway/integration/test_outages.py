"""The broker goes away and comes back; the gateway is killed."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aio_pika.exceptions import AMQPError

from services.gateway.bus import outcome_reader
from services.gateway.bus.connection import CONNECTION_ERRORS, connect
from services.gateway.bus.consumer import channel_for
from services.gateway.bus.event_consumers import EVENTS
from services.gateway.wiring import Parts
from shared.contracts.errors import BrokerUnavailable, FleetError
from shared.contracts.operations import State
from shared.platform.bus import topology
from tests.support.broker import OwnBroker, Vhost
from tests.support.builders import an_instance, an_operation
from tests.support.core import submit
from tests.support.daemons import ROOT
from tests.support.host import WireHost
from tests.support.line import Line
from tests.support.polling import eventually

from .conftest import has_accepted, has_read

LEADER_TIMEOUT_S = 5.0
WELL_AGAIN_S = 2.0
# Long enough for every connection with a heartbeat each second to be given up.
HUNG_S = 8.0

Start = Callable[..., Awaitable[Parts]]


@asynccontextmanager
async def connected(start: Start, broker: OwnBroker) -> AsyncIterator[Parts]:
    """Start a gateway that has read host h1 with a running `web`."""
    gateway = await start(broker.uri)
    await eventually(lambda: gateway.bus.connected)
    async with WireHost(broker.host_uri("h1"), "h1", an_instance()):
        await eventually(lambda: has_read(gateway))
        yield gateway


def through(line: Line, vhost: Vhost) -> str:
    """Return the gateway's URI of a broker at the other end of a line."""
    return vhost.uri.replace(f":{vhost.broker.node.ports.amqp}", f":{line.port}")


async def stop_is_accepted(gateway: Parts) -> bool:
    try:
        operation = await submit(gateway)
    except FleetError:
        return False
    return operation.state is State.ACCEPTED


async def test_without_a_broker_reads_go_on_and_changes_are_refused_at_once(
    start: Start, own_broker: OwnBroker
) -> None:
    async with connected(start, own_broker) as gateway:
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: not gateway.bus.connected)

        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await submit(gateway)

        assert time.monotonic() - began < 2
        assert gateway.fleet.instance("web").instance.status == "Running"
        assert not gateway.health.broker_connected


async def test_the_gateway_is_well_again_soon_after_the_brokers_return(
    start: Start, own_broker: OwnBroker
) -> None:
    async with connected(start, own_broker) as gateway:
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: not gateway.bus.connected)

        await asyncio.to_thread(own_broker.start)
        returned = time.monotonic()
        async with WireHost(own_broker.host_uri("h1"), "h1", an_instance()):
            await eventually(lambda: stop_is_accepted(gateway), within_s=10)

    assert time.monotonic() - returned < WELL_AGAIN_S


async def test_a_queue_that_a_power_failure_left_without_a_leader_is_made_anew(
    start: Start, own_broker: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_reader, "LEADER_TIMEOUT_S", LEADER_TIMEOUT_S)
    uris = {host: own_broker.host_uri(host) for host in ("h1", "h2", "h3")}
    gateway = await start(own_broker.uri)
    await eventually(lambda: gateway.bus.connected)
    async with WireHost(uris["h1"], "h1"), WireHost(uris["h2"], "h2"):
        await eventually(lambda: has_read(gateway, "h1", "h2"))
        await asyncio.to_thread(own_broker.kill)
    await asyncio.to_thread(own_broker.start)
    await eventually(lambda: gateway.bus.connected)

    await eventually(lambda: outcome_of("h3", gateway, uris))
    # One at the least was written down too late.
    assert not all([await outcome_of(host, gateway, uris) for host in ("h1", "h2")])

    for host in ("h1", "h2"):
        await eventually(lambda: outcome_of(host, gateway, uris), within_s=30)  # noqa: B023


async def outcome_of(host: str, gateway: Parts, uris: Mapping[str, str]) -> bool:
    """Publish an outcome; return whether the broker has confirmed it, and the gateway kept it.

    RabbitMQ may answer with an internal error where the queue has no leader.
    """
    async with WireHost(uris[host], host) as wire:
        await eventually(lambda: has_read(gateway, host))
        operation_id = secrets.token_hex()
        with suppress(TimeoutError, AMQPError):
            async with asyncio.timeout(1):
                await wire.publish_operation(
                    an_operation(operation_id, host=host, state=State.DONE)
                )
                await eventually(lambda: is_kept(gateway, operation_id))
                return True
        return False


async def is_kept(gateway: Parts, operation_id: str) -> bool:
    return await gateway.store.get(operation_id) is not None


async def test_a_queue_of_outcomes_that_an_operator_deletes_is_made_anew(
    start: Start, vhost: Vhost
) -> None:
    gateway = await start(vhost.uri)
    uris = {"h1": vhost.host_uri("h1")}
    await eventually(lambda: outcome_of("h1", gateway, uris))
    (queue,) = (
        name for queue in vhost.queues() if (name := queue["name"]).startswith(topology.OUTCOMES)
    )

    vhost.broker.http.delete(f"/queues/{vhost.name}/{queue}").raise_for_status()

    await eventually(lambda: outcome_of("h1", gateway, uris))
    assert queue in {each["name"] for each in vhost.queues()}


async def test_a_gateway_that_starts_without_a_broker_knows_what_it_knew(
    start: Start, vhost: Vhost, line: Callable[[int], Line]
) -> None:
    first = await start(vhost.uri)
    await eventually(lambda: first.bus.connected)
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()):
        await eventually(lambda: has_read(first))
    await first.hosts.save()
    broker = line(vhost.broker.node.ports.amqp)
    broker.cut()

    second = await start(through(broker, vhost))
    await eventually(lambda: second.fleet.ready)

    known = second.fleet.instance("web")
    assert not second.fleet.host(known.host).online
    assert await second.health.database_answers()
    broker.mend()
    mended = time.monotonic()
    await eventually(lambda: second.bus.connected)
    assert time.monotonic() - mended < WELL_AGAIN_S


async def test_a_call_cut_off_on_its_way_is_found_out_and_runs_once(
    start: Start, vhost: Vhost, line: Callable[[int], Line]
) -> None:
    broker = line(vhost.broker.node.ports.amqp)
    gateway = await start(through(broker, vhost))
    await eventually(lambda: gateway.bus.connected)
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: has_read(gateway))
        host.silent = True
        submitting = asyncio.create_task(submit(gateway))
        await eventually(lambda: host.journal.submissions)

        broker.cut()
        operation = await submitting
        host.silent = False
        broker.mend()

        assert operation.state is State.SUBMITTING
        await eventually(lambda: has_accepted(gateway, operation))
        assert len(host.journal.submissions) == 1


async def test_what_waits_for_a_broker_that_hangs_is_told_of_the_lost_connection(
    vhost: Vhost, line: Callable[[int], Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.bus.connection.HEARTBEAT_S", 1)
    broker = line(vhost.broker.node.ports.amqp)
    connection = await connect(through(broker, vhost))
    channel = await channel_for(EVENTS, connection, lambda *_: None)

    broker.hold()

    with pytest.raises(CONNECTION_ERRORS):
        await channel.queue_declare("q", exclusive=True)


async def test_hosts_are_heard_again_after_a_broker_that_hung(
    start: Start, vhost: Vhost, line: Callable[[int], Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.bus.connection.HEARTBEAT_S", 1)
    broker = line(vhost.broker.node.ports.amqp)
    gateway = await start(through(broker, vhost))
    await eventually(lambda: gateway.bus.connected)
    maintain = gateway.consumers.maintain

    async def ask_and_maintain() -> None:
        await gateway.consumers._channels[0].queue_declare("", exclusive=True)
        await maintain()

    monkeypatch.setattr(gateway.consumers, "maintain", ask_and_maintain)
    broker.hold()
    await asyncio.sleep(HUNG_S)

    broker.cut()
    broker.mend()

    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()):
        await eventually(lambda: has_read(gateway), within_s=10)


SUBMIT_AND_TELL = """
import asyncio, sys, time
from services.gateway import wiring
from services.gateway.clock import Clock
from services.gateway.bus import outcome_reader
from services.gateway.bus.connection import CONNECTION_ERRORS, connect
from services.gateway.bus.consumer import channel_for
from services.gateway.bus.event_consumers import EVENTS
from services.gateway.operations.command import Caller, command_for
from services.gateway.service import running
from services.gateway.settings import HttpSettings, Settings
from shared.contracts.operations import Arguments, Kind

async def main(amqp_uri, database_url):
    clock = Clock(monotonic=time.monotonic, wall=time.time)
    settings = Settings(amqp_uri, database_url, HttpSettings((), None, (), ()), call_timeout_s=60)
    parts = wiring.build(settings, clock)
    async with running(parts, settings, clock):
        while not parts.fleet.is_reachable("h1") or parts.fleet.needs_inventory("h1"):
            await asyncio.sleep(0.02)
        while not parts.fleet.ready:
            await asyncio.sleep(0.02)
        caller = Caller("a", "::1")
        command = command_for(parts.fleet.instance("web"), Kind.STOP, Arguments(), caller)
        await parts.operations.submit(command, caller)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("reached_worker", "end"), [(True, "accepted"), (False, "rejected")])
async def test_what_a_killed_gateway_was_submitting_comes_to_a_true_end(
    start: Start,
    vhost: Vhost,
    tmp_path: Path,
    reached_worker: bool,
    end: str,
) -> None:
    topology.declare(vhost.uri)
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        host.silent = True
        host.forgets = not reached_worker
        command = [
            sys.executable,
            "-c",
            SUBMIT_AND_TELL,
            vhost.uri,
            f"sqlite:///{tmp_path}/gateway.db",
        ]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        beating = asyncio.create_task(keep_beating(host))
        await eventually(lambda: submitted(host), within_s=15)
        process.kill()
        await process.wait()
        host.silent = False

        gateway = await start(vhost.uri)
        (left,) = await gateway.store.unresolved("anyone", time.time() + 3600)

        async def ended() -> bool:
            return (await gateway.operations.get(left.operation_id)).state == end

        await eventually(ended, within_s=10)
        beating.cancel()
        assert len(host.journal.submissions) == (1 if reached_worker else 0)


def submitted(host: WireHost) -> bool:
    return any(str(call.routing_key).endswith(".submit") for call in host.calls)


async def keep_beating(host: WireHost) -> None:
    while True:
        await host.beat()
        await asyncio.sleep(0.3)
