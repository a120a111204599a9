"""A console that a test scripts, as the gateway's HTTP side sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.gateway.consoles import Console
from shared.contracts.errors import FleetError
from shared.contracts.streams import Resize


@dataclass
class FakeByteStream:
    """A stream that shows `shows`, then ends with `exit_status`, or fails with `failure`.

    It shows nothing before `begins` is set, reads no more than one message before `reads` is, and
    ends when `ends` is.
    """

    shows: list[bytes] = field(default_factory=list)
    exit_status: int | None = 0
    failure: FleetError | None = None
    begins: asyncio.Event | None = None
    reads: asyncio.Event | None = None
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    typed: list[bytes | Resize] = field(default_factory=list)
    id: str = "0" * 32
    started: bool = False

    def start(self) -> None:
        self.started = True

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.begins is not None:
            await self.begins.wait()
        for data in self.shows:
            yield data
        await self.ends.wait()
        if self.failure is not None:
            raise self.failure

    async def send(self, data: bytes) -> None:
        self.typed.append(data)
        if self.reads is not None:
            await self.reads.wait()

    async def resize(self, size: Resize) -> None:
        self.typed.append(size)


@dataclass
class FakeConsoles:
    """Opens `stream` for everybody, or refuses with `refusal`.

    `now_open` are the consoles that nobody has left yet.
    """

    stream: FakeByteStream = field(default_factory=FakeByteStream)
    refusal: FleetError | None = None
    opened: list[Console] = field(default_factory=list)
    now_open: list[Console] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, console: Console) -> AsyncIterator[FakeByteStream]:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append(console)
        self.now_open.append(console)
        try:
            yield self.stream
        finally:
            self.now_open.remove(console)
