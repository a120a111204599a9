"""Which queues a gateway makes for the workers that miss them."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiormq.exceptions import ChannelInvalidStateError

from services.gateway.bus.call_queues import CallQueues
from shared.platform.bus import topology

OWN = topology.calls_queue("h1", "secret")
OTHER = topology.calls_queue("h1", "another")


@dataclass
class FakeChannel:
    """A connection and its channel; `lost`: it takes nothing any more."""

    queues: list[str] = field(default_factory=list)
    bindings: set[tuple[str, str, str]] = field(default_factory=set)
    close_callbacks: set[object] = field(default_factory=set)
    lost: bool = False

    async def channel(self) -> Any:
        return self

    async def get_underlay_channel(self) -> Any:
        return self

    async def queue_declare(self, name: str, **_: object) -> None:
        if self.lost:
            raise ChannelInvalidStateError
        self.queues.append(name)

    async def queue_delete(self, name: str) -> None:
        self.queues.remove(name)

    async def queue_bind(self, name: str, exchange: str, key: str) -> None:
        self.bindings.add((name, exchange, key))


async def connected(channel: FakeChannel) -> CallQueues:
    queues = CallQueues()
    await queues.connect(channel, lambda *_: None)  # type: ignore[arg-type]
    return queues


async def test_who_calls_a_host_waits_until_its_queue_is_there() -> None:
    channel = FakeChannel()
    queues = await connected(channel)

    queues.declare("h1", OWN)
    await queues.wait("h1")

    assert channel.queues == [OWN]
    assert channel.bindings == {(OWN, "fleet.calls", "lxd_worker.h1.*")}


@pytest.mark.attack
@pytest.mark.parametrize(
    "name", ["fleet.dead-letters", "", topology.calls_queue("h2", "secret"), f"{OWN}x"]
)
async def test_no_queue_is_made_that_is_not_of_the_host_that_wishes_it(name: str) -> None:
    channel = FakeChannel()
    queues = await connected(channel)

    queues.declare("h1", name)
    await queues.wait("h1")

    assert channel.queues == []


@pytest.mark.attack
async def test_a_host_that_wishes_for_another_queue_each_time_has_one() -> None:
    channel = FakeChannel()
    queues = await connected(channel)

    for name in (OWN, OTHER, OWN):
        queues.declare("h1", name)
        await queues.wait("h1")

    assert channel.queues == [OWN]


async def test_a_lost_connection_is_no_error_of_who_calls() -> None:
    channel = FakeChannel(lost=True)
    queues = await connected(channel)

    queues.declare("h1", OWN)
    await queues.wait("h1")

    assert channel.bindings == set()


async def test_before_there_is_a_connection_nothing_is_made() -> None:
    channel = FakeChannel()
    queues = CallQueues()

    queues.declare("h1", OWN)
    await queues.wait("h1")
    await queues.connect(channel, lambda *_: None)  # type: ignore[arg-type]
    await queues.wait("h1")

    assert channel.queues == []


async def test_of_a_forgotten_host_nothing_is_remembered() -> None:
    channel = FakeChannel()
    queues = await connected(channel)
    queues.declare("h1", OWN)
    await queues.wait("h1")

    queues.forget_all_but({"h2"})
    queues.declare("h1", OTHER)
    await queues.wait("h1")

    assert channel.queues == [OWN, OTHER]
