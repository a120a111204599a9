"""Opens consoles: our end of a stream first, then the host's, then the bytes flow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.fleet.view import FleetView
from services.gateway.ports import ByteStream, Console, Streams
from shared.contracts.consoles import OpenConsole
from shared.contracts.worker_api import LxdWorker


@dataclass(frozen=True, slots=True)
class ConsoleService:
    """Implements `ports.Consoles`."""

    fleet: FleetView
    streams: Streams
    worker: LxdWorker

    @asynccontextmanager
    async def open(self, console: Console) -> AsyncIterator[ByteStream]:
        """See `ports.Consoles`."""
        host = console.target.host
        if refusal := self.fleet.refusal(host):
            raise refusal
        async with self.streams.listen(host) as stream:
            await self.worker.open_console(host, _order(console, stream.id))
            stream.begin()
            yield stream


def _order(console: Console, stream: str) -> OpenConsole:
    return OpenConsole(
        stream=stream,
        project=console.target.project,
        name=console.target.name,
        uuid=console.target.uuid,
        type=console.type,
        principal=console.caller.principal,
        address=console.caller.address,
    )
