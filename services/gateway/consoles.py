"""Consoles of instances, and the logs of their last start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Target
from services.gateway.operations.command import Caller
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.contracts.streams import Resize
from shared.contracts.worker_api import InstanceLog, WorkerClient


@dataclass(frozen=True, slots=True)
class Console:
    """A console that a caller may open; `id` is the instance's, as in the console's URL."""

    id: str
    target: Target
    type: ConsoleType
    caller: Caller


class ByteStream(Protocol):
    """The gateway's end of a byte stream to a host.

    Methods raise StreamLost if the host's end is lost, or the error with which it aborted.
    """

    @property
    def id(self) -> str:
        """The id by which the host opens its end."""

    @property
    def exit_status(self) -> int | None:
        """The exit status of the process, once the stream has ended; None: unknown."""

    def start(self) -> None:
        """Start the flow of bytes, once the host's end is open."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield chunks until the host has sent all.

        The host may send more once the caller asks for the next chunk.
        """

    async def send(self, data: bytes) -> None:
        """Send bytes; return when the host has granted credit for all of them."""

    async def resize(self, size: Resize) -> None:
        """Send the size of the terminal."""


class Streams(Protocol):
    """Opens byte streams to hosts."""

    def open(self, host: str) -> AbstractAsyncContextManager[ByteStream]:
        """Open a new stream, and close it afterwards.

        Raises BrokerUnavailable, HostUnreachable.
        """


@dataclass(frozen=True, slots=True)
class ConsoleService:
    """Opens consoles: the gateway's end of the stream first, then the host's."""

    fleet: FleetView
    streams: Streams
    worker: WorkerClient

    @asynccontextmanager
    async def open(self, console: Console) -> AsyncIterator[ByteStream]:
        """Open a console, and close it afterwards.

        Raises what `WorkerClient.open_console` raises, HostUnreachable and HostIdentityMismatch.
        """
        host = console.target.host
        if error := self.fleet.access_error(host):
            raise error
        async with self.streams.open(host) as stream:
            await self.worker.open_console(host, _request(console, stream.id))
            stream.start()
            yield stream


@dataclass(frozen=True, slots=True)
class LogService:
    """Reads the logs of instances' last starts."""

    fleet: FleetView
    worker: WorkerClient

    async def of(self, target: Target) -> InstanceLog:
        """Return the end of an instance's log.

        Raises HostUnreachable, HostIdentityMismatch, LxdUnavailable, BrokerUnavailable,
        WorkerOutdated, OutcomeUnknown, InstanceNotFound, InstanceReplaced, LogNotFound.
        """
        if error := self.fleet.access_error(target.host):
            raise error
        return await self.worker.instance_log(*target)


def _request(console: Console, stream: str) -> OpenConsole:
    return OpenConsole(
        stream=stream,
        project=console.target.project,
        name=console.target.name,
        uuid=console.target.uuid,
        type=console.type,
        principal=console.caller.principal,
        address=console.caller.address,
    )
