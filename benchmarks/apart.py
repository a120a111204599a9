"""Run servers in processes of their own, to separate their cost from that of the clients."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import psutil

# Sends a first message to its parent, such as its port, and then receives commands, None last.
Server = Callable[[Connection], Awaitable[None]]

# How long a server may take to end before it is killed.
END_S = 20.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server: its first message, the pipe for its commands, and its process."""

    greeting: Any
    commands: Connection
    process: psutil.Process


@asynccontextmanager
async def run_apart(server: Server | partial[Awaitable[None]]) -> AsyncIterator[RunningServer]:
    """Run a server in a process of its own; end it afterwards."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(server, theirs))
    process.start()
    # So that `recv` fails if the server dies before its first message.
    theirs.close()
    try:
        greeting = await asyncio.to_thread(ours.recv)
        yield RunningServer(greeting, ours, psutil.Process(process.pid))
        ours.send(None)
        await asyncio.to_thread(process.join, END_S)
    finally:
        process.kill()


async def handle_commands(commands: Connection, handle: Callable[[object], object]) -> None:
    """Handle each command, until the last."""
    while (command := await asyncio.to_thread(commands.recv)) is not None:
        handle(command)


async def wait_for_end(commands: Connection) -> None:
    """Return at the last command, which is the only one."""
    await asyncio.to_thread(commands.recv)


def _serve(server: Server, commands: Connection) -> None:
    asyncio.run(server(commands))  # type: ignore[arg-type]
