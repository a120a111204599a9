"""A host that claimed a huge capacity was asked first, got the root password, and refused.

The next host got the same password: now the first one knew how to log in to the instance there.
"""

from __future__ import annotations

import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.operations.command import Caller
from services.gateway.vms.new_vm import NewVm
from shared.contracts.errors import InsufficientResources
from shared.contracts.hosts import Capacity, Image
from shared.contracts.operations import State
from tests.support.builders import a_description, a_heartbeat, an_inventory
from tests.support.core import Core

pytestmark = pytest.mark.attack

PASSWORD, DATA = "pa55!word", "#cloud-config\nhostname: hidden\n"


async def test_a_greedy_host_that_refuses_is_sent_no_byte_of_a_secret() -> None:
    gateway = Core()
    greedy = Capacity(cpu=2**16, memory=2**60, disk=2**60)
    for host, room in (("h1", greedy), ("h2", Capacity(cpu=4, memory=4000, disk=9000))):
        gateway.fleet.apply(host, a_heartbeat())
        gateway.fleet.apply(host, an_inventory())
        busybox = Image(fingerprint="ab12", aliases=("busybox",))
        told = a_description(capacity=room, images=[busybox], projects=["default"])
        gateway.fleet.apply(host, told)
    gateway.workers.refusals["h1"] = InsufficientResources("h1", "memory", "100", "7")
    vm = NewVm(
        name="new",
        template="busybox",
        amount=Amount(1, 100, 1000),
        cloud_init=DATA,
        root_password=PASSWORD,
    )

    operation = await gateway.creations.create(vm, Caller("admin", "127.0.0.1"), None)

    sent = dict.fromkeys(("h1", "h2"), b"")
    for host, body in gateway.workers.sent:
        sent[host] += body
    assert gateway.workers.called[0] == ("h1", "prepare")
    assert PASSWORD.encode() not in sent["h1"]
    assert b"hidden" not in sent["h1"]
    assert PASSWORD.encode() in sent["h2"]
    assert (operation.host, operation.state) == ("h2", State.ACCEPTED)
