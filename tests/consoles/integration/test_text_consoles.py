"""Leaving the text console of a guest that prints all the time.

Somebody closed theirs, and with it went the LXD daemon of the whole host: "panic: concurrent write
to websocket connection" (canonical/lxd 11174, mended in LXD 6.9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import lxd_api
from services.lxd_worker.lxd.console import LxdTerminals
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.lxd.client import LxdClient
from tests.support.broker import Vhost
from tests.support.lxd import Instances, OwnLxd, daemon_of_its_own, instances_on
from tests.support.polling import eventually

from .conftest import HOST, console_on, gateway_of, worker_on

pytestmark = [pytest.mark.attack, pytest.mark.lxd]

PRINTS = "while {0}; do echo line; done >/dev/console </dev/null 2>&1 &"
# Until LXD waits for somebody to read; then it writes whenever the other side hangs up.
UNREAD_S = 0.6


@pytest.fixture(scope="module")
def fragile() -> Iterator[OwnLxd]:
    """A daemon that may die."""
    with daemon_of_its_own() as own:
        try:
            yield own
        finally:
            own.start()


@pytest.fixture
def printing(fragile: OwnLxd) -> Iterator[str]:
    """The name of an instance that prints all the time."""
    with instances_on(fragile) as mine:
        yield printing_on(mine, "usleep 200")


@pytest.fixture
def flooding(fragile: OwnLxd) -> Iterator[str]:
    """The name of an instance that prints as fast as it can."""
    with instances_on(fragile) as mine:
        yield printing_on(mine, "true")


def printing_on(mine: Instances, waits: str) -> str:
    name = mine.launch("prints")
    command = ["sh", "-c", PRINTS.format(waits)]
    body = {"command": command, "wait-for-websocket": False, "interactive": False}
    mine.lxd.call("POST", f"/1.0/instances/{name}/exec", body)
    return name


async def test_lxd_survives_whoever_leaves_without_having_read(
    fragile: OwnLxd, printing: str
) -> None:
    terminals = LxdTerminals(LxdClient(fragile.socket, HOST), ["sh"])
    request = OpenConsole(
        stream="s", project="default", name=printing, uuid="", type=ConsoleType.CONSOLE
    )
    for _ in range(5):
        terminal = terminals.open(request)
        await asyncio.sleep(UNREAD_S)
        terminal.hang_up()
        terminal.close()

        assert lxd_api.answers(fragile.socket)


async def test_lxd_survives_a_worker_that_stops(
    fragile: OwnLxd, printing: str, shared_vhost: Vhost, tmp_path: Path
) -> None:
    console = console_on(fragile, printing, ConsoleType.CONSOLE)
    with worker_on(fragile.socket, shared_vhost, tmp_path) as worker:
        async with (
            gateway_of(shared_vhost, tmp_path) as gateway,
            gateway.consoles.open(console),
        ):
            await asyncio.sleep(UNREAD_S)
            status = await asyncio.to_thread(worker.stop)

        assert status == 0
        assert lxd_api.answers(fragile.socket)


async def test_a_flood_that_nobody_looks_at_leaves_the_instance_in_the_operators_hands(
    fragile: OwnLxd, flooding: str, shared_vhost: Vhost, tmp_path: Path
) -> None:
    console = console_on(fragile, flooding, ConsoleType.CONSOLE)

    def status() -> str:
        return str(fragile.call("GET", f"/1.0/instances/{flooding}")["status"])

    with worker_on(fragile.socket, shared_vhost, tmp_path) as worker:
        async with gateway_of(shared_vhost, tmp_path) as gateway:
            async with gateway.consoles.open(console):
                await asyncio.sleep(3)
                unread = await asyncio.to_thread(status)
            await eventually(lambda: worker.logged("console closed"))
            left = await asyncio.to_thread(status)
        (closed,) = worker.logged("console closed")

    assert (unread, left) == ("Running", "Running")
    assert closed["missed"] > closed["shown"]
