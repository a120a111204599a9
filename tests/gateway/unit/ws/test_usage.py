from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.ws.protocol import MOST_KEYS, Subscribe, decode_message
from services.gateway.ws.usage import UsageSubscription, UsageTopic
from shared.contracts.errors import InvalidInput
from tests.support.builders import an_instance_sample
from tests.support.gateway import FakeFleet
from tests.support.views import a_host_view, a_view

WEB, DB = a_view("web"), a_view("db", host="h2")
BUSY = a_view("web", sample=an_instance_sample("web", cpu_percent=99.0))


class Client:
    """A subscription, and what it is told."""

    def __init__(self, fleet: FakeFleet, interval_s: float = 0.0, **request: Any) -> None:
        self._wakeup = asyncio.Event()
        usage = UsageTopic(fleet, ErrorBoundary(), interval_s)
        self.subscription: UsageSubscription = usage.subscribe(
            Subscribe("usage", **request), self._wakeup
        )

    async def told(self) -> list[dict[str, Any]]:
        """Return the messages at the next wakeup."""
        await asyncio.wait_for(self._wakeup.wait(), 2)
        self._wakeup.clear()
        return [json.loads(message.text) for message in self.subscription.messages()]


def fleet_of_two() -> FakeFleet:
    return FakeFleet([a_host_view("h1"), a_host_view("h2")], [WEB, DB])


async def test_the_figures_of_what_is_named_come_at_once() -> None:
    client = Client(fleet_of_two(), keys=("h1/default/web", "h9/default/nobody"))

    [message] = await client.told()

    assert (message["type"], message["topic"], message["removed"]) == ("usage", "usage", [])
    assert message["entries"].keys() == {"h1/default/web"}
    assert message["entries"]["h1/default/web"]["cpu_percent"] == 47.5


async def test_without_keys_they_are_those_of_the_host() -> None:
    client = Client(fleet_of_two(), host="h2")

    [message] = await client.told()

    assert (message["host"], [*message["entries"]]) == ("h2", ["h2/default/db"])


async def test_later_only_what_changed_or_went_is_told() -> None:
    fleet = fleet_of_two()
    client = Client(fleet, keys=("h1/default/web", "h2/default/db"))
    await client.told()

    same = await client.told()
    fleet.change(instances=[BUSY])
    [message] = await client.told()

    assert same == []
    assert message["entries"]["h1/default/web"]["cpu_percent"] == 99.0
    assert (len(message["entries"]), message["removed"]) == (1, ["h2/default/db"])


async def test_changes_within_an_interval_are_one_message() -> None:
    fleet = fleet_of_two()
    client = Client(fleet, 0.05, keys=("h1/default/web",))
    await client.told()

    for view in (BUSY, WEB, BUSY):
        fleet.change(instances=[view, DB])
    early = client.subscription.messages()
    [message] = await client.told()

    assert early == []
    assert message["entries"]["h1/default/web"]["cpu_percent"] == 99.0


async def test_a_client_that_has_left_is_woken_no_more() -> None:
    client = Client(fleet_of_two(), 0.01, host="h1")
    await client.told()

    client.subscription.close()
    await asyncio.sleep(0.03)

    assert not client._wakeup.is_set()


async def test_the_figures_of_many_clients_are_rendered_once() -> None:
    fleet, rendered = fleet_of_two(), []
    usage = UsageTopic(fleet, ErrorBoundary(), 0.0)
    render = usage._cache._render
    usage._cache._render = lambda view, host: rendered.append(view) or render(view, host)  # type: ignore[func-returns-value]

    for _ in range(20):
        usage.subscribe(Subscribe("usage", host="h1"), asyncio.Event()).messages()

    assert rendered == [WEB]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"topic": "usage"}, "keys"),
        ({"topic": "usage", "keys": ["web"]}, "keys"),
        ({"topic": "usage", "keys": ["h1/default/web\u0000"]}, "keys"),
        ({"topic": "usage", "keys": ["h1/default/web"] * (MOST_KEYS + 1)}, "keys"),
        ({"topic": "instances", "keys": ["h1/default/web"]}, "keys"),
    ],
)
def test_a_request_that_could_not_be_met_is_refused(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_message(json.dumps({"type": "subscribe", **request_}))

    assert refused.value.field == field
