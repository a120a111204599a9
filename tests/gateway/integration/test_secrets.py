"""Over a real broker: a host that refuses a creation reads nothing secret, whatever it claims."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.operations.command import Caller
from services.gateway.vms.new_vm import NewVm
from services.gateway.wiring import Parts
from shared.contracts.errors import InsufficientResources
from shared.contracts.hosts import Capacity, Image
from shared.contracts.operations import Operation, State
from tests.support.broker import Vhost
from tests.support.builders import a_description
from tests.support.host import WireHost
from tests.support.polling import eventually

pytestmark = pytest.mark.attack

PASSWORD = "pa55!word"
BUSYBOX = Image(fingerprint="ab12", aliases=("busybox",))
VM = NewVm(name="new", template="busybox", amount=Amount(1, 100, 1000), root_password=PASSWORD)
GREEDY = Capacity(cpu=2**16, memory=2**60, disk=2**60)
MODEST = Capacity(cpu=4, memory=4000, disk=9000)


async def joined(vhost: Vhost, host: str, room: Capacity, stack: AsyncExitStack) -> WireHost:
    wired = await stack.enter_async_context(WireHost(vhost.host_uri(host), host))
    wired.description = a_description(capacity=room, images=[BUSYBOX], projects=["default"])
    # Whoever has heard of the host by now has asked for all before there was a description.
    await wired.publish_inventory()
    return wired


async def create(gateway: Parts) -> Operation:
    return await gateway.creations.create(VM, Caller("admin", "127.0.0.1"), None)


def read_by(host: WireHost) -> bytes:
    return b"".join(call.body for call in host.calls)


async def test_a_greedy_host_that_refuses_has_read_no_byte_of_a_password(
    gateway: Parts, vhost: Vhost
) -> None:
    async with AsyncExitStack() as stack:
        greedy = await joined(vhost, "h1", GREEDY, stack)
        modest = await joined(vhost, "h2", MODEST, stack)
        greedy.journal.refusal = InsufficientResources("h1", "memory", "100", "7")
        await eventually(lambda: {"h1", "h2"} == described(gateway))

        operation = await create(gateway)

    assert (operation.host, operation.state) == ("h2", State.ACCEPTED)
    assert "prepare" in [method for _, method in greedy.journal.called]
    assert PASSWORD.encode() not in read_by(greedy)
    assert PASSWORD.encode() in read_by(modest)


async def test_a_host_that_accepts_and_falls_silent_is_the_only_one_that_reads_the_password(
    gateway: Parts, vhost: Vhost
) -> None:
    async with AsyncExitStack() as stack:
        greedy = await joined(vhost, "h1", GREEDY, stack)
        modest = await joined(vhost, "h2", MODEST, stack)
        greedy.journal.answers["deliver_secrets"] = partial(fall_silent, greedy)
        await eventually(lambda: {"h1", "h2"} == described(gateway))

        operation = await create(gateway)
        delivered = ("h1", "deliver_secrets")
        await eventually(lambda: greedy.journal.called.count(delivered) > 1)

    assert (operation.host, operation.state) == ("h1", State.ACCEPTED)
    assert PASSWORD.encode() not in read_by(modest)


def fall_silent(host: WireHost, *_: object) -> None:
    host.silent = True


def described(gateway: Parts) -> set[str]:
    if not gateway.fleet.ready:
        return set()
    return {
        known.host
        for known in gateway.fleet.hosts()
        if known.resources and known.lxd_connected and known.trusted
    }
