"""Samplers and gateways of two releases side by side: in either order each is understood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import msgspec
import pytest

from services.gateway.bus.event_consumers import EventConsumers
from services.gateway.wiring import Parts
from shared.contracts.codec import encode
from shared.contracts.events import SAMPLED_V1_VERSION, SampledV1
from shared.platform.bus import topology
from tests.gateway.integration.conftest import Start
from tests.support.broker import Vhost
from tests.support.builders import a_sample_message, an_instance
from tests.support.host import WireHost
from tests.support.polling import eventually

PRESENT, FIRST = "sampler.sample.v2", "sampler.sample"


@pytest.fixture
async def gateway(start: Start, vhost: Vhost, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """A gateway that soon looks for the first form where the present one is missing."""
    defaults = EventConsumers.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "first_form_s", 1.0)
    parts = await start(vhost.uri)
    await eventually(lambda: parts.bus.connected)
    return parts


@pytest.fixture
async def host(gateway: Parts, vhost: Vhost) -> AsyncIterator[WireHost]:
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: gateway.fleet.ready and bool(gateway.fleet.instances()))
        yield host


def first_form(sequence: int) -> SampledV1:
    message = a_sample_message(an_instance(), sequence=sequence)
    converted = msgspec.convert(message, SampledV1, from_attributes=True)
    return msgspec.structs.replace(converted, version=SAMPLED_V1_VERSION)


def is_measured(gateway: Parts) -> bool:
    return gateway.fleet.instance("web").sample is not None


async def test_a_sampler_of_an_earlier_release_is_read(gateway: Parts, host: WireHost) -> None:
    for sequence in range(1, 60):
        await host.publish(FIRST, first_form(sequence))
        if is_measured(gateway):
            break
        await asyncio.sleep(0.1)

    assert is_measured(gateway)


async def test_a_host_that_sends_the_present_form_need_send_no_other(
    gateway: Parts, host: WireHost, vhost: Vhost
) -> None:
    sequence = 0

    async def send_until(routed: bool) -> bool:
        """Send both forms until the first one does, or does not, reach a queue."""
        nonlocal sequence
        connection = await aio_pika.connect(vhost.host_uri("h1"))
        async with connection:
            channel = await connection.channel(on_return_raises=True)
            password = topology.password_of(vhost.host_uri("h1"))
            exchange = await channel.get_exchange(topology.host_exchange("h1", password))
            for _ in range(100):
                sequence += 1
                await host.publish(PRESENT, a_sample_message(an_instance(), sequence=sequence))
                message = aio_pika.Message(encode(first_form(sequence)))
                try:
                    await exchange.publish(message, f"h1.{FIRST}", mandatory=True)
                    is_routed = True
                except aio_pika.exceptions.PublishError:
                    is_routed = False
                if is_routed is routed:
                    return True
                await asyncio.sleep(0.1)
        return False

    # So long as nothing came in the present form the first was looked for.
    await asyncio.sleep(1.5)

    assert await send_until(routed=False)
    assert is_measured(gateway)
    assert not await gateway_dead_letters(vhost)


async def gateway_dead_letters(vhost: Vhost) -> list[object]:
    """Return the queues of dead letters that hold any."""
    return [
        each
        for each in vhost.queues()
        if each["name"] == topology.DEAD_LETTERS.name and each.get("messages")
    ]
