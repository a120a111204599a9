"""Consoles of virtual machines, which only the double of LXD has here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.consoles import Console
from services.gateway.fleet.views import Target
from services.gateway.operations.command import Caller
from services.gateway.wiring import Parts
from shared.contracts.consoles import ConsoleType
from shared.contracts.errors import LxdRefused
from shared.platform.bus import topology
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.broker import Vhost
from tests.support.polling import eventually

from .conftest import HOST, gateway_of, worker_on


@pytest.fixture
async def gateway(vhost: Vhost, tmp_path: Path) -> AsyncIterator[Parts]:
    """A gateway of a host with the virtual machine `vm` and the container `c`, both running."""
    topology.declare(vhost.uri)
    with LxdDouble(tmp_path / "lxd.socket") as lxd:
        lxd.add(DoubledInstance("vm", type="virtual-machine", status="Running"))
        lxd.add(DoubledInstance("c", status="Running"))
        with worker_on(lxd.socket, vhost, tmp_path):
            async with gateway_of(vhost, tmp_path) as parts:
                await eventually(lambda: len(parts.fleet.instances()) == 2)
                yield parts


def console(gateway: Parts, name: str, kind: ConsoleType) -> Console:
    instance = gateway.fleet.instance(name).instance
    target = Target(HOST, instance.project, name, instance.uuid)
    return Console(f"vm-{instance.uuid}", target, kind, Caller("admin", "192.0.2.7"))


@pytest.mark.parametrize(
    ("kind", "banner"),
    [
        (ConsoleType.VGA, b"REDQ\x00\xff"),
        (ConsoleType.CONSOLE, b"\r\nlogin: "),
        (ConsoleType.EXEC, b"# "),
    ],
)
async def test_each_kind_is_opened_and_relayed_byte_for_byte(
    gateway: Parts, kind: ConsoleType, banner: bytes
) -> None:
    every_byte = bytes(range(256))
    async with gateway.consoles.open(console(gateway, "vm", kind)) as stream:
        chunks = stream.chunks()
        await stream.send(every_byte)

        shown = b""
        while len(shown) < len(banner) + len(every_byte):
            shown += await anext(chunks)

    assert shown == banner + every_byte


async def test_what_lxd_refuses_is_told_in_its_words(gateway: Parts) -> None:
    with pytest.raises(LxdRefused, match="only supported by virtual machines"):
        await gateway.consoles.open(console(gateway, "c", ConsoleType.VGA)).__aenter__()


async def test_the_exit_status_of_a_virtual_machines_shell_is_told(gateway: Parts) -> None:
    async with gateway.consoles.open(console(gateway, "vm", ConsoleType.EXEC)) as stream:
        await stream.send(b"exit 7\n")
        _ = [chunk async for chunk in stream.chunks()]

        assert stream.exit_status == 7
