"""Measure what an update of `/ws/monitor` to many clients costs the gateway.

The fleet's real gateway sends an update every 5 s; its idle cost was measured before, without
clients. The baseline is a bare server that sends as many bytes to as many clients at the same
interval with `websockets.broadcast`, as caches go cold between two updates, so that the same work
costs more than in a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection

import psutil
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.apart import run_apart, wait_for_end
from benchmarks.costs import measure_cpu
from benchmarks.crowd import crowd, until
from benchmarks.figures import Figure, at_most
from benchmarks.ground import Ground, alone

PATH = "/ws/monitor"
INTERVAL_S = 5.0


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure the gateway, then the baseline."""
    yield asyncio.run(_measure(ground))


async def _measure(ground: Ground) -> Figure:
    gateway, port = ground.process("gateway"), int(ground.fleet.url.rpartition(":")[2])
    with measure_cpu(gateway) as unwatched:
        await asyncio.sleep(ground.scale.watched_s / 2)
    async with connect(f"{ground.fleet.ws_url}{PATH}", proxy=None) as viewer:
        message = str(await viewer.recv())
    ours_ms = await _update_ms(ground, gateway, port, PATH, unwatched.percent)
    async with run_apart(partial(_broadcaster, message)) as bare:
        bare_ms = await _update_ms(ground, bare.process, int(bare.greeting), "/", 0.0)
    return Figure(
        f"one `{PATH}` update to {ground.scale.viewers} clients, CPU of the gateway",
        f"{ours_ms:.1f} ms: {ours_ms / bare_ms:.2f} times",
        f"`websockets.broadcast` of {len(message)} bytes: {bare_ms:.1f} ms",
        ours_ms / bare_ms,
        at_most(2, "times"),
    )


async def _update_ms(
    ground: Ground, server: psutil.Process, port: int, path: str, idle_percent: float
) -> float:
    """Return the milliseconds of the server's CPU for one update to all clients."""
    number = ground.scale.viewers
    async with crowd(number, port, path) as viewers:
        await until(viewers, number)
        before = viewers.messages
        with measure_cpu(server) as cpu:
            await asyncio.sleep(max(ground.scale.watched_s / 2, 1.5 * INTERVAL_S))
        updates = (viewers.messages - before) / number
    return (cpu.cpu_ms - idle_percent * cpu.wall_s * 10) / updates


async def _broadcaster(message: str, commands: Connection) -> None:
    clients: set[ServerConnection] = set()

    async def keep(client: ServerConnection) -> None:
        clients.add(client)
        await client.wait_closed()

    async def tell() -> None:
        while True:
            broadcast(clients, message)
            await asyncio.sleep(INTERVAL_S)

    async with serve(keep, "127.0.0.1", 0, compression=None) as server:
        telling = asyncio.create_task(tell())
        commands.send(next(iter(server.sockets)).getsockname()[1])
        await wait_for_end(commands)
        telling.cancel()


if __name__ == "__main__":
    alone(figures)
