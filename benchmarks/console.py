"""Measure a shell through the whole chain: WebSocket, gateway, broker, worker, LXD.

The baseline is the same shell at LXD's own WebSocket, as `lxc exec` uses it. Both take turns. All
bytes of the output are counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect, unix_connect

from benchmarks.figures import Figure, at_least, at_most, centile, spread
from benchmarks.ground import Ground, alone
from tests.support.lxd_client import Client

TURNS = 4
OUTPUT_BYTES = 10_000_000
LOGIN_SHELL = {"command": ["/bin/sh", "-l"], "interactive": True, "wait-for-websocket": True}
# Answers each number with as many bytes; after a 0 it echoes each byte.
SCRIPT = (
    b"""exec sh -c "stty raw -echo; echo rea''dy; """
    b"""while read -r n && [ \\$n != 0 ]; do head -c \\$n /dev/zero; echo do''ne; done; """
    b"""echo rea''dy; exec cat"\n"""
)


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure both by turns."""
    direct, ours = asyncio.run(_both(ground))
    yield Figure(
        "echo of a byte in a console",
        spread(ours.echoes_ms),
        f"LXD's WebSocket: {spread(direct.echoes_ms)}",
        centile(ours.echoes_ms, 50),
        at_most(15, "ms (p50)"),
    )
    yield Figure(
        "10 MB of a console's output",
        f"{ours.speed:.1f} MB/s",
        f"LXD's WebSocket: {direct.speed:.1f} MB/s",
        ours.speed,
        at_least(5, "MB/s"),
    )


class ShellFigures:
    """Measurements of one kind of shell."""

    def __init__(self) -> None:
        self.echoes_ms: list[float] = []
        self._outputs_ms: list[float] = []

    @property
    def speed(self) -> float:
        """Median output in MB per second."""
        return OUTPUT_BYTES / 1e3 / centile(self._outputs_ms, 50)

    async def measure(self, shell: ClientConnection, rounds: int, slow_rounds: int) -> None:
        """Let the shell write a lot, then echo single bytes."""
        await shell.send(SCRIPT)
        await _until(shell, b"ready\n")
        for _ in range(slow_rounds):
            self._outputs_ms.append(await _output_ms(shell))
        await shell.send(b"0\n")
        await _until(shell, b"ready\n")
        for _ in range(rounds):
            self.echoes_ms.append(await _echo_ms(shell))


async def _both(ground: Ground) -> tuple[ShellFigures, ShellFigures]:
    direct, ours = ShellFigures(), ShellFigures()
    rounds, slow_rounds = ground.scale.rounds // TURNS, max(1, ground.scale.slow_rounds // TURNS)
    for _ in range(TURNS):
        async with _at_lxd(ground) as shell:
            await direct.measure(shell, rounds, slow_rounds)
        async with connect(_address(ground), max_size=None, proxy=None) as shell:
            await ours.measure(shell, rounds, slow_rounds)
    return direct, ours


def _address(ground: Ground) -> str:
    answer = ground.fleet.http.get(f"/api/v1/vms/{ground.loaded.names[0]}/console")
    return str(answer.raise_for_status().json()["data"]["url"])


@asynccontextmanager
async def _at_lxd(ground: Ground) -> AsyncIterator[ClientConnection]:
    socket, name = ground.lxd.socket, ground.loaded.names[0]
    async with Client.connected(socket) as client:
        operation = await client.begin("POST", f"/1.0/instances/{name}/exec", LOGIN_SHELL)
        secrets = (await client.get(operation))["metadata"]["fds"]
    address = f"ws://lxd{operation}/websocket?secret="
    async with (
        unix_connect(str(socket), address + secrets["0"], max_size=None, close_timeout=0.1) as data,
        unix_connect(str(socket), address + secrets["control"], close_timeout=0.1),
    ):
        yield data


async def _output_ms(shell: ClientConnection) -> float:
    began = time.perf_counter()
    await shell.send(b"%d\n" % OUTPUT_BYTES)
    received = await _until(shell, b"done\n")
    assert received == OUTPUT_BYTES + len("done\n"), received
    return 1000 * (time.perf_counter() - began)


async def _echo_ms(shell: ClientConnection) -> float:
    began = time.perf_counter()
    await shell.send(b"x")
    assert await shell.recv() == b"x"
    return 1000 * (time.perf_counter() - began)


async def _until(shell: ClientConnection, text: bytes) -> int:
    """Read until this text; return how many bytes that were."""
    received, last = 0, b""
    while not last.endswith(text):
        data = await shell.recv()
        assert isinstance(data, bytes), data
        received += len(data)
        last = (last + data)[-len(text) :]
    return received


if __name__ == "__main__":
    alone(figures)
