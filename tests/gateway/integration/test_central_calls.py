"""Calls of the snapshots service over a real broker, and the answers that count."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from services.gateway.bus.central_calls import CentralCalls
from services.gateway.bus.connection import Alarm, close, connect
from shared.contracts.errors import (
    BrokerUnavailable,
    PolicyExists,
    SnapshotsSilent,
    SnapshotsUnavailable,
    UnreadableMessage,
)
from shared.contracts.policy_api import SnapshotsClient
from shared.platform.bus import topology
from shared.platform.logs import correlation_id
from tests.support.broker import Vhost
from tests.support.builders import a_policy
from tests.support.central import WireCentre
from tests.support.polling import eventually


@pytest.fixture
async def calls(vhost: Vhost) -> AsyncIterator[CentralCalls]:
    """Calls over a connection of their own, which wait half a second."""
    topology.declare(vhost.uri)
    connection = await connect(vhost.uri)
    calls = CentralCalls("g1", Alarm(), timeout_s=0.5)
    await calls.connect(connection, lambda *_: None)
    yield calls
    calls.disconnect()
    await close(connection)


@pytest.fixture
async def centre(vhost: Vhost) -> AsyncIterator[WireCentre]:
    """The snapshots service."""
    async with WireCentre(vhost.uri) as centre:
        yield centre


async def test_a_policy_goes_to_the_service_and_comes_back(
    calls: CentralCalls, centre: WireCentre
) -> None:
    client = SnapshotsClient(calls)

    created = await client.create(a_policy())
    listed = await client.policies()

    assert created == a_policy()
    assert listed.policies == [a_policy()]


async def test_a_call_is_what_nameko_expects(calls: CentralCalls, centre: WireCentre) -> None:
    correlation_id.set("request-7")

    await calls("plans", [])

    [call] = centre.calls
    assert call.routing_key == "snapshots.plans"
    assert (call.content_type, call.content_encoding) == ("application/json", "utf-8")
    assert call.headers["nameko.correlation_id"] == "request-7"
    assert json.loads(call.body) == {"args": [], "kwargs": {}}


async def test_many_calls_at_once_get_each_its_own_answer(
    calls: CentralCalls, centre: WireCentre
) -> None:
    client = SnapshotsClient(calls)
    policies = [a_policy(f"p-{number}", name=f"n{number}") for number in range(20)]

    created = await asyncio.gather(*map(client.create, policies))

    assert created == policies


async def test_what_the_service_raises_is_raised_here(
    calls: CentralCalls, centre: WireCentre
) -> None:
    client = SnapshotsClient(calls)
    await client.create(a_policy())

    with pytest.raises(PolicyExists) as raised:
        await client.create(a_policy("another"))

    assert raised.value.policy == "daily"


async def test_without_the_service_nothing_was_done_and_that_is_said_at_once(
    calls: CentralCalls,
) -> None:
    began = time.monotonic()
    with pytest.raises(SnapshotsUnavailable):
        await calls("plans", [])

    assert time.monotonic() - began < 0.4


async def test_a_service_that_does_not_answer_leaves_the_outcome_unknown(
    calls: CentralCalls, centre: WireCentre
) -> None:
    centre.silent = True

    with pytest.raises(SnapshotsSilent):
        await calls("plans", [])


async def test_a_lost_connection_leaves_the_outcome_unknown_and_the_next_call_unsent(
    calls: CentralCalls, centre: WireCentre
) -> None:
    centre.silent = True
    waiting = asyncio.create_task(calls("plans", []))
    await eventually(lambda: bool(centre.calls))

    calls.disconnect()

    with pytest.raises(SnapshotsSilent):
        await waiting
    with pytest.raises(BrokerUnavailable):
        await calls("plans", [])


async def test_while_the_broker_is_blocked_no_call_is_sent(vhost: Vhost) -> None:
    topology.declare(vhost.uri)
    alarm = Alarm()
    alarm.reason = "memory"
    calls = CentralCalls("g1", alarm, timeout_s=0.5)
    connection = await connect(vhost.uri)
    await calls.connect(connection, lambda *_: None)

    with pytest.raises(BrokerUnavailable):
        await calls("plans", [])

    await close(connection)


def failed(kind: str, *values: str) -> object:
    return {"result": None, "error": {"exc_type": kind, "exc_args": list(values)}}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failed("MethodNotFound"), SnapshotsUnavailable),
        (failed("KeyError", "x"), SnapshotsSilent),
        # Without its value, and one that this service has no cause to raise.
        (failed("PolicyExists"), SnapshotsSilent),
        (failed("HostNotFound", "h1"), SnapshotsSilent),
        (["no", "reply"], UnreadableMessage),
    ],
)
async def test_what_cannot_be_read_is_no_answer(
    calls: CentralCalls, centre: WireCentre, answer: object, error: type[Exception]
) -> None:
    centre.answer_with = answer

    with pytest.raises(error):
        await calls("plans", [])
