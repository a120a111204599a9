"""Measure a call from a gateway to a worker and back.

The gateway's own client calls the fleet's real worker, which reads its journal. The baseline is the
least that a call over this broker costs without nameko: an aio-pika client, and in a process of its
own an aio-pika server that echoes. Both use confirms and mandatory messages, and take turns,
because the machine's load varies.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from benchmarks.apart import run_apart, wait_for_end
from benchmarks.figures import Figure, at_most, centile, spread
from benchmarks.ground import HOST, Ground, alone
from services.gateway.bus.calls import Calls
from services.gateway.bus.connection import Alarm
from services.gateway.bus.dead_letters import DeadLetters
from shared.contracts.worker_api import WorkerClient
from shared.platform.bus import topology
from tests.support.broker import Vhost

TURNS = 4
# Beyond the end of any journal, so that the answer is empty.
SEQUENCE = 2**40
ECHO_KEY = "echo.bench.call"
REQUEST = b'{"args": [1099511627776, 500], "kwargs": {}}'

Call = Callable[[], Awaitable[object]]


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure both by turns."""
    bare, ours = asyncio.run(_both(ground.fleet.vhost, ground.scale.rounds))
    times = centile(ours, 50) / centile(bare, 50)
    yield Figure(
        "gateway to worker and back",
        f"{spread(ours)}: {times:.2f} times",
        f"aio-pika echo: {spread(bare)}",
        times,
        at_most(1.5, "times (p50)"),
    )


async def _both(vhost: Vhost, rounds: int) -> tuple[list[float], list[float]]:
    uri = vhost.uri
    bare, ours = [], []
    async with run_apart(partial(_echo, uri)), await aio_pika.connect(uri) as connection:
        call_echo = await _echo_caller(connection)
        call_worker = await _worker_caller(connection, vhost)
        for _ in range(TURNS):
            bare += await _timed(call_echo, rounds // TURNS)
            ours += await _timed(call_worker, rounds // TURNS)
    return bare, ours


async def _worker_caller(connection: AbstractConnection, vhost: Vhost) -> Call:
    alarm, ignored = Alarm(), lambda host: None
    letters, gateway = DeadLetters(alarm, ignored), secrets.token_hex(8)
    calls = Calls(gateway, letters, ignored, alarm, vhost.host_exchange, timeout_s=10.0)
    await calls.connect(connection, lambda *_: None)
    calls.queues.declare(HOST, vhost.calls_queue(HOST))
    worker = WorkerClient(calls)
    return lambda: worker.operations_since(HOST, SEQUENCE)


async def _echo_caller(connection: AbstractConnection) -> Call:
    channel = await connection.channel(on_return_raises=True)
    exchange = await channel.get_exchange(topology.CALLS.name, ensure=False)
    replies = await channel.declare_queue(exclusive=True)
    reply_to = f"echo.reply.{secrets.token_hex(8)}"
    await replies.bind(exchange, reply_to)
    awaited: dict[str | None, asyncio.Future[bytes]] = {}

    async def take(message: AbstractIncomingMessage) -> None:
        awaited.pop(message.correlation_id).set_result(message.body)

    async def call() -> object:
        call_id = secrets.token_hex(16)
        answer = awaited[call_id] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(REQUEST, correlation_id=call_id, reply_to=reply_to)
        await exchange.publish(message, ECHO_KEY, mandatory=True)
        return await answer

    await replies.consume(take, no_ack=True)
    return call


async def _echo(uri: str, commands: Connection) -> None:
    """Echo messages, and acknowledge them after the answer as nameko does."""
    async with await aio_pika.connect(uri) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(topology.CALLS.name, ensure=False)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, ECHO_KEY)

        async def answer(message: AbstractIncomingMessage) -> None:
            reply = aio_pika.Message(message.body, correlation_id=message.correlation_id)
            await exchange.publish(reply, str(message.reply_to), mandatory=False)
            await message.ack()

        await queue.consume(answer)
        commands.send("ready")
        await wait_for_end(commands)


async def _timed(call: Call, rounds: int) -> list[float]:
    """Return the milliseconds of each call, after a first one that is not counted."""
    await call()
    durations = []
    for _ in range(rounds):
        began = time.perf_counter()
        await call()
        durations.append(1000 * (time.perf_counter() - began))
    return durations


if __name__ == "__main__":
    alone(figures)
