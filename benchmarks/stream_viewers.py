"""Measure what clients of `/ws/stream` cost: `python -m benchmarks.stream_viewers`.

The gateway's app over a fake fleet, in a process of its own, with many clients in this one. A
change of one instance is sent to all of them; the baseline is a bare server that sends a message of
about that length (900 bytes) with `websockets.broadcast`. Then some clients stop reading while the
fleet keeps changing: the gateway's memory before and after.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection

from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.apart import Server, handle_commands, run_apart
from benchmarks.costs import measure_cpu, resident_mb
from benchmarks.crowd import crowd, until
from benchmarks.figures import Figure, show
from benchmarks.scale import Scale, from_environment
from tests.support.gateway_http import FakeGateway, listening
from tests.support.views import a_view

PATH = "/ws/stream?topic=instances"
# For each round of other benchmarks.
CHANGES_PER_ROUND = 3
STALLED_CHANGES_PER_ROUND = 100
# One in ten clients reads nothing.
STALLED_SHARE = 10
# Seconds between two changes, as the stream combines closer ones.
PAUSE_S = 0.006


def figures(scale: Scale) -> Iterator[Figure]:
    """Measure what a change costs, then what unread changes cost."""
    changes = CHANGES_PER_ROUND * scale.slow_rounds
    ours_ms = asyncio.run(_change_ms(partial(_gateway, scale.instances), PATH, scale, changes))
    bare_ms = asyncio.run(_change_ms(_broadcaster, "/", scale, changes))
    yield Figure(
        f"one change on `/ws/stream` to {scale.viewers} clients, CPU",
        f"{ours_ms:.1f} ms: {ours_ms / bare_ms:.1f} times",
        f"`websockets.broadcast`: {bare_ms:.1f} ms",
    )
    stalled = max(1, scale.viewers // STALLED_SHARE)
    changes = STALLED_CHANGES_PER_ROUND * scale.slow_rounds
    before, after = asyncio.run(_stalled(scale.instances, stalled, changes))
    yield Figure(
        f"{stalled} of its clients that read nothing, {changes} changes, memory",
        f"{after:.0f} MB",
        f"before: {before:.0f} MB",
    )


async def _change_ms(server: Server, path: str, scale: Scale, changes: int) -> float:
    """Return the milliseconds of the server's CPU for each change to all clients."""
    async with (
        run_apart(server) as running,
        crowd(scale.viewers, running.greeting, path) as viewers,
    ):
        await asyncio.sleep(0.5)
        with measure_cpu(running.process) as cpu:
            for number in range(changes):
                expected = viewers.messages + scale.viewers
                running.commands.send(number)
                await until(viewers, expected)
    return cpu.cpu_ms / changes


async def _stalled(instances: int, number: int, changes: int) -> tuple[float, float]:
    """Return the gateway's memory before and after changes that clients did not read."""
    async with run_apart(partial(_gateway, instances)) as running:
        with ExitStack() as sockets:
            for _ in range(number):
                sockets.enter_context(await asyncio.to_thread(_deaf, running.greeting))
            await asyncio.sleep(1)
            before = resident_mb(running.process)
            for change in range(changes):
                running.commands.send(change)
                await asyncio.sleep(PAUSE_S)
            return before, resident_mb(running.process)


async def _gateway(instances: int, commands: Connection) -> None:
    """Serve the stream, and change an instance at each command."""
    fake = FakeGateway(monotonic=time.monotonic)
    others = [a_view(f"c{number}") for number in range(1, instances)]
    fake.fleet.known_instances = [a_view("c0"), *others]

    def change(number: object) -> None:
        changed = a_view("c0", description=str(number))
        fake.fleet.change(instances=[changed, *others])

    async with listening(fake.app(), ws_per_message_deflate=False) as port:
        commands.send(port)
        await handle_commands(commands, change)


async def _broadcaster(commands: Connection) -> None:
    """Serve bare WebSockets, and broadcast a message of a delta's size at each command."""
    clients: set[ServerConnection] = set()
    text = json.dumps({"padding": "x" * 900})

    async def keep(client: ServerConnection) -> None:
        clients.add(client)
        await client.wait_closed()

    async with serve(keep, "127.0.0.1", 0, compression=None) as server:
        commands.send(next(iter(server.sockets)).getsockname()[1])
        await handle_commands(commands, lambda _: broadcast(clients, text))


def _deaf(port: int) -> socket.socket:
    """Return a connection that requests the stream and never reads it."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    deaf.sendall(
        f"GET {PATH} HTTP/1.1\r\nHost: localhost:8000\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return deaf


if __name__ == "__main__":
    show(figures(from_environment()))
