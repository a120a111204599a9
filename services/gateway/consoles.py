"""Consoles of instances, and what LXD wrote about their last start."""

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
    """A console that somebody may open; `id` is the instance's, as in the console's address."""

    id: str
    target: Target
    type: ConsoleType
    caller: Caller


class ByteStream(Protocol):
    """Our end of a stream of bytes with a host.

    Methods raise StreamLost when the host's end has gone, or the error with which it aborted.
    """

    @property
    def id(self) -> str:
        """What the host is told to find its end by."""

    @property
    def exit_status(self) -> int | None:
        """That of the process whose output the bytes were, after they have ended; None: unknown."""

    def start(self) -> None:
        """Let the bytes flow; the host's end is there now."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield what comes until the host has sent all.

        It may send more when whoever iterates comes back.
        """

    async def send(self, data: bytes) -> None:
        """Send bytes; return when the host had room for all of them."""

    async def resize(self, size: Resize) -> None:
        """Send the size of the terminal."""


class Streams(Protocol):
    """Streams of bytes with hosts."""

    def open(self, host: str) -> AbstractAsyncContextManager[ByteStream]:
        """Hold our end of a new stream, and end the stream afterwards.

        Raises BrokerUnavailable, HostUnreachable.
        """


@dataclass(frozen=True, slots=True)
class ConsoleService:
    """Opens consoles: our end of a stream first, then the host's, then the bytes flow."""

    fleet: FleetView
    streams: Streams
    worker: WorkerClient

    @asynccontextmanager
    async def open(self, console: Console) -> AsyncIterator[ByteStream]:
        """Hold a console open, and leave it afterwards.

        Raises what `WorkerClient.open_console` raises, HostUnreachable and HostIdentityMismatch.
        """
        host = console.target.host
        if refusal := self.fleet.access_error(host):
            raise refusal
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
        if refusal := self.fleet.access_error(target.host):
            raise refusal
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
