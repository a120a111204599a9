"""What an update of `/ws/monitor` to a crowd costs the gateway.

The fleet's real gateway tells the crowd at its own pace, one update every 5 s; what it does anyway
was measured before without them. The baseline is a bare server that sends as many bytes to as many
clients at the same pace with `websockets.broadcast`: between two updates a machine forgets, so that
the same work costs more than in a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection

import psutil
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.apart import apart, told_to_end
from benchmarks.costs import billed
from benchmarks.crowd import crowd, until
from benchmarks.figures import Figure, at_most
from benchmarks.ground import Ground, alone

PATH = "/ws/monitor"
INTERVAL_S = 5.0


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure the gateway, then the baseline."""
    yield asyncio.run(_measured(ground))


async def _measured(ground: Ground) -> Figure:
    gateway, port = ground.process("gateway"), int(ground.fleet.url.rpartition(":")[2])
    with billed(gateway) as unwatched:
        await asyncio.sleep(ground.scale.watched_s / 2)
    async with connect(f"{ground.fleet.ws_url}{PATH}", proxy=None) as viewer:
        message = str(await viewer.recv())
    ours_ms = await _update_ms(ground, gateway, port, PATH, unwatched.percent)
    async with apart(partial(_broadcaster, message)) as bare:
        bare_ms = await _update_ms(ground, bare.process, int(bare.said), "/", 0.0)
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
    """Return the milliseconds of CPU that the server took to tell the whole crowd once."""
    number = ground.scale.viewers
    async with crowd(number, port, path) as viewers:
        await until(viewers, number)
        before = viewers.messages
        with billed(server) as bill:
            await asyncio.sleep(max(ground.scale.watched_s / 2, 1.5 * INTERVAL_S))
        updates = (viewers.messages - before) / number
    return (bill.cpu_ms - idle_percent * bill.wall_s * 10) / updates


async def _broadcaster(message: str, orders: Connection) -> None:
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
        orders.send(next(iter(server.sockets)).getsockname()[1])
        await told_to_end(orders)
        telling.cancel()


if __name__ == "__main__":
    alone(figures)
