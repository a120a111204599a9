"""Many hosts are asked a few at a time, and what one does costs the others nothing."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.fleet.view import FleetView
from services.gateway.policies.host_calls import AT_ONCE, call_hosts
from shared.contracts.errors import HostUnreachable, PolicyNotFound
from tests.support.builders import a_heartbeat, an_inventory
from tests.support.clock import FakeClock


def a_fleet(time: FakeClock, *hosts: str) -> FleetView:
    fleet = FleetView(time.clock, ready_after_s=0)
    for host in hosts:
        fleet.apply(host, a_heartbeat())
        fleet.apply(host, an_inventory())
    return fleet


async def test_each_host_has_its_answer_or_its_error_in_their_order(time: FakeClock) -> None:
    fleet = a_fleet(time, "h3", "h1", "h2")

    async def call(host: str) -> str:
        if host == "h2":
            raise PolicyNotFound("p")
        return f"of {host}"

    answers = await call_hosts(fleet, ["h1", "h2", "h3"], call, within_s=5)

    assert [(each.host, each.answer) for each in answers] == [
        ("h1", "of h1"),
        ("h2", None),
        ("h3", "of h3"),
    ]
    assert isinstance(answers[1].error, PolicyNotFound)
    assert not answers[1].away


async def test_a_host_that_is_away_or_gone_is_not_asked(time: FakeClock) -> None:
    fleet = a_fleet(time, "h1")
    time.advance(3600)
    asked: list[str] = []

    async def call(host: str) -> None:
        asked.append(host)

    answers = await call_hosts(fleet, ["h1", "gone"], call, within_s=5)

    assert asked == []
    assert [each.away for each in answers] == [True, True]


async def test_one_that_goes_while_it_is_asked_is_away(time: FakeClock) -> None:
    async def call(host: str) -> None:
        raise HostUnreachable(host)

    [answer] = await call_hosts(a_fleet(time, "h1"), ["h1"], call, within_s=5)

    assert answer.away


async def test_the_first_hosts_are_asked_however_little_time_there_is(time: FakeClock) -> None:
    async def call(host: str) -> str:
        return host

    hosts = [f"h{number}" for number in range(AT_ONCE + 1)]
    answers = await call_hosts(a_fleet(time, *hosts), hosts, call, within_s=0)

    assert [each.host for each in answers if each.answer] == hosts[:AT_ONCE]


@pytest.mark.attack
async def test_hosts_that_do_not_answer_hold_up_a_request_no_longer_than_it_may_take(
    time: FakeClock,
) -> None:
    hosts = [f"h{number}" for number in range(3 * AT_ONCE)]
    under_way, most = 0, 0

    async def call(host: str) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return host

    answers = await call_hosts(a_fleet(time, *hosts), hosts, call, within_s=0.08)

    answered = [each.host for each in answers if each.answer]
    assert most == AT_ONCE
    assert answered == hosts[: 2 * AT_ONCE]
    assert all(each.error is None for each in answers)
