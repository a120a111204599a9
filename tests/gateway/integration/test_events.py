"""What hosts publish, however broken, over a real broker."""

from collections.abc import AsyncIterator

import pytest

from services.gateway.operations.store import OperationFilter
from services.gateway.wiring import Parts
from shared.contracts.codec import encode
from shared.contracts.events import MAX_BYTES, Heartbeat, OperationChanged
from shared.contracts.operations import State
from tests.support.broker import Vhost
from tests.support.builders import (
    a_change,
    a_heartbeat,
    a_removal,
    a_sample_message,
    an_instance,
    an_operation,
)
from tests.support.dead_letters import BODY_BYTES, dead_letter
from tests.support.host import WireHost
from tests.support.polling import eventually


@pytest.fixture
async def host(gateway: Parts, vhost: Vhost) -> AsyncIterator[WireHost]:
    """Host h1 with its own credentials and a running `web`, in the gateway's view."""
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: names(gateway) == ["web"])
        yield host


def names(gateway: Parts) -> list[str]:
    return (
        [known.instance.name for known in gateway.fleet.instances()] if gateway.fleet.ready else []
    )


async def test_events_and_samples_reach_the_view(gateway: Parts, host: WireHost) -> None:
    await host.publish("sampler.sample.v2", a_sample_message(an_instance()))
    await host.publish(
        "worker.instance-changed", a_change(an_instance("new"), sequence=host.next_sequence())
    )

    await eventually(lambda: names(gateway) == ["new", "web"])
    assert gateway.fleet.instance("web").sample is not None


async def test_a_gap_is_closed_by_an_inventory_the_gateway_asks_for(
    gateway: Parts, host: WireHost
) -> None:
    host.instances = [an_instance(revision=2), an_instance("missed")]
    host.next_sequence()

    await host.beat()

    await eventually(lambda: names(gateway) == ["missed", "web"])
    assert not gateway.fleet.needs_inventory("h1")


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("worker.heartbeat", b"\x00garbage"),
        ("worker.inventory", b'{"epoch": 1}'),
        ("worker.instance-removed", encode(a_heartbeat())),
        ("worker.operation", b"[]"),
        ("worker.sample", b"{}"),
        ("sampler.sample.v2", b"{}"),
        ("worker.heartbeat", encode(a_heartbeat(epoch=2**64))),
        ("worker.heartbeat", encode(a_heartbeat(version="2.0"))),
        ("worker.operation", b'{"operation": ' + encode(an_operation(host="h2")) + b"}"),
        ("worker.operation", b'{"operation": ' + encode(an_operation(sequence=2**70)) + b"}"),
        ("worker.operation", encode(OperationChanged(operation=an_operation(after_epoch=2**63)))),
        (
            "worker.operation",
            encode(OperationChanged(operation=an_operation(state=State.SUBMITTING))),
        ),
        ("worker.heartbeat", b'{"epoch": 1' + b" " * MAX_BYTES[Heartbeat] + b"}"),
    ],
)
async def test_what_cannot_be_read_is_buried_with_the_reason_and_stops_nothing(
    gateway: Parts, host: WireHost, vhost: Vhost, key: str, body: bytes
) -> None:
    await host.publish(key, body)
    await host.publish("worker.instance-removed", a_removal(sequence=host.next_sequence()))

    buried = await dead_letter(vhost)
    assert buried.body == body[:BODY_BYTES]
    assert buried.headers["fleet-size"] == len(body)
    assert buried.headers["fleet-key"] == f"h1.{key}"
    assert buried.headers["fleet-reason"]
    await eventually(lambda: names(gateway) == [])
    assert await gateway.operations.list(OperationFilter()) == []


async def test_an_outcome_that_comes_again_and_again_is_kept_once(
    gateway: Parts, host: WireHost
) -> None:
    done = an_operation(state=State.DONE, sequence=5)
    late = an_operation(sequence=4)

    for news in (done, done, late, done):
        await host.publish_operation(news)

    async def kept() -> bool:
        return await gateway.store.get("op-1") is not None

    await eventually(kept)
    assert await gateway.operations.list(OperationFilter()) == [done]
