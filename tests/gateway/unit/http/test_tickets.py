from __future__ import annotations

import httpx

from services.gateway.http import tickets
from services.gateway.http.tickets import Tickets
from services.gateway.operations.command import Caller
from tests.support.clock import FakeClock

ADMIN = Caller(principal="admin", address="192.0.2.9")


def test_a_ticket_stands_for_its_caller_once() -> None:
    held = Tickets(FakeClock().monotonic)
    ticket = held.issue(ADMIN)

    assert [held.redeem(ticket), held.redeem(ticket)] == [ADMIN, None]


def test_a_ticket_ends_after_half_a_minute() -> None:
    clock = FakeClock()
    held = Tickets(clock.monotonic)
    early, late = held.issue(ADMIN), held.issue(ADMIN)

    clock.advance(29.9)
    in_time = held.redeem(early)
    clock.advance(0.1)
    too_late = held.redeem(late)

    assert (in_time, too_late) == (ADMIN, None)


def test_a_ticket_that_was_never_given_opens_nothing() -> None:
    assert Tickets(FakeClock().monotonic).redeem("guess") is None


def test_the_oldest_tickets_give_way_when_too_many_are_held() -> None:
    held = Tickets(FakeClock().monotonic)
    first = held.issue(ADMIN)
    issued = [held.issue(ADMIN) for _ in range(tickets.MOST_HELD)]

    assert held.redeem(first) is None
    assert held.redeem(issued[0]) == ADMIN


async def test_a_ticket_is_given_over_http_and_never_stored(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/ws-tickets")

    assert (answer.status_code, answer.json()["expires_in_s"]) == (201, 30)
    assert len(answer.json()["ticket"]) >= 32
    assert answer.headers["cache-control"] == "no-store"
