from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.gateway.consoles import Console, ConsoleService
from services.gateway.operations.command import Caller
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.contracts.errors import HostUnreachable, OutcomeUnknown, TooManyConsoles
from shared.contracts.worker_api import WorkerClient
from tests.support.consoles import FakeByteStream
from tests.support.core import Core


@dataclass
class FakeStreams:
    """Gives everybody `stream`; `hosts` are those whose streams have not ended."""

    stream: FakeByteStream = field(default_factory=FakeByteStream)
    hosts: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, host: str) -> AsyncIterator[FakeByteStream]:
        self.hosts.append(host)
        try:
            yield self.stream
        finally:
            self.hosts.remove(host)


@pytest.fixture
def streams() -> FakeStreams:
    return FakeStreams()


@pytest.fixture
def consoles(gateway: Core, streams: FakeStreams) -> ConsoleService:
    return ConsoleService(gateway.fleet, streams, WorkerClient(gateway.workers))


@pytest.fixture
def console(gateway: Core) -> Console:
    target = gateway.fleet.instance("web").target
    return Console("vm-u", target, ConsoleType.EXEC, Caller("admin", "192.0.2.7"))


async def test_the_worker_is_told_to_open_the_end_of_a_stream_that_is_listened_to(
    gateway: Core, consoles: ConsoleService, streams: FakeStreams, console: Console
) -> None:
    async with consoles.open(console) as stream:
        hosts = list(streams.hosts)

    assert stream is streams.stream
    assert stream.started
    assert hosts == ["h1"]
    assert gateway.workers.consoles == [
        OpenConsole(
            stream=streams.stream.id,
            project=console.target.project,
            name="web",
            uuid=console.target.uuid,
            type=ConsoleType.EXEC,
            principal="admin",
            address="192.0.2.7",
        )
    ]
    assert streams.hosts == []


@pytest.mark.parametrize("error", [TooManyConsoles("h1", "32"), OutcomeUnknown("h1")])
async def test_a_stream_whose_other_end_was_not_opened_is_ended(
    gateway: Core,
    consoles: ConsoleService,
    streams: FakeStreams,
    console: Console,
    error: TooManyConsoles | OutcomeUnknown,
) -> None:
    gateway.workers.unreachable["h1"] = error

    with pytest.raises(type(error)):
        await consoles.open(console).__aenter__()

    assert not streams.stream.started
    assert streams.hosts == []


async def test_a_host_that_is_away_is_not_asked(
    gateway: Core, consoles: ConsoleService, console: Console
) -> None:
    gateway.time.advance(60)
    gateway.fleet.tick()

    with pytest.raises(HostUnreachable):
        await consoles.open(console).__aenter__()

    assert gateway.workers.called == []
