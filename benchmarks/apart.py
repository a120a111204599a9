"""Servers in processes of their own, so that what they cost can be told from what clients cost."""

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

# Serves until it is cancelled. The first thing that it sends is an answer to whoever started it;
# what it gets then are orders, and None is the last.
Server = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Apart:
    """A running server: its first word, the line to it, and its process."""

    said: Any
    orders: Connection
    process: psutil.Process


@asynccontextmanager
async def apart(server: Server | partial[Awaitable[None]]) -> AsyncIterator[Apart]:
    """Run a server; end it afterwards."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(server, theirs))
    process.start()
    # So that a server that dies before its first word is noticed.
    theirs.close()
    try:
        said = await asyncio.to_thread(ours.recv)
        yield Apart(said, ours, psutil.Process(process.pid))
        ours.send(None)
        await asyncio.to_thread(process.join)
    finally:
        process.kill()


async def obey(orders: Connection, obey_one: Callable[[object], object]) -> None:
    """Carry out each order, until the last."""
    while (order := await asyncio.to_thread(orders.recv)) is not None:
        obey_one(order)


async def told_to_end(orders: Connection) -> None:
    """Return at the last order, which is the only one."""
    await asyncio.to_thread(orders.recv)


def _serve(server: Server, orders: Connection) -> None:
    asyncio.run(server(orders))  # type: ignore[arg-type]
