"""A broker that is short of memory or of disk space takes no messages, and says so."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from services.gateway.wiring import Parts
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.operations import State
from tests.support.broker import OwnBroker
from tests.support.builders import an_instance
from tests.support.core import submit
from tests.support.host import WireHost
from tests.support.polling import eventually

from .conftest import has_read

pytestmark = pytest.mark.attack

Start = Callable[..., Awaitable[Parts]]


async def test_changes_are_refused_at_once_while_the_broker_is_full_and_reads_go_on(
    start: Start, own_broker: OwnBroker
) -> None:
    gateway = await start(own_broker.uri)
    await eventually(lambda: gateway.bus.connected and gateway.fleet.ready, within_s=10)
    async with WireHost(own_broker.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: has_read(gateway))
        await asyncio.to_thread(own_broker.control, "set_vm_memory_high_watermark", "0")
        await eventually(lambda: gateway.health.broker_blocked != "", within_s=10)

        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await submit(gateway)
        assert time.monotonic() - began < 1
        assert "memory" in gateway.health.broker_blocked
        assert "lxdfleet_gateway_broker_blocked 1.0" in gateway.telemetry.text().decode()
        assert gateway.fleet.instance("web").instance.status == "Running"
        assert not host.journal.submissions

        await asyncio.to_thread(own_broker.control, "set_vm_memory_high_watermark", "0.4")
        await eventually(lambda: not gateway.health.broker_blocked, within_s=10)
        assert (await submit(gateway)).state is State.ACCEPTED
