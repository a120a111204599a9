from __future__ import annotations

import logging

import pytest

from services.gateway.http.listener import ADDRESS, TOTAL, ConnectionLimit


def let_in(limit: ConnectionLimit, *addresses: str) -> list[bool]:
    return [limit.enter(address) is not None for address in addresses]


def test_so_many_are_let_in_and_one_more_when_one_has_left() -> None:
    limit = ConnectionLimit(2, 9)
    first = limit.enter("192.0.2.1")
    assert first is not None

    assert let_in(limit, "192.0.2.2", "192.0.2.3") == [True, False]
    limit.leave(first)
    assert let_in(limit, "192.0.2.3", "192.0.2.4") == [True, False]


@pytest.mark.attack
def test_an_address_that_has_many_open_keeps_nobody_else_out() -> None:
    limit = ConnectionLimit(99, 2)

    assert let_in(limit, *["192.0.2.1"] * 3, "192.0.2.2") == [True, True, False, True]


@pytest.mark.attack
@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2")],
)
def test_addresses_of_one_owner_are_one(first: str, second: str) -> None:
    assert let_in(ConnectionLimit(99, 1), first, second) == [True, False]


@pytest.mark.parametrize("other", ["2001:db8:0:2::1", "0.0.0.1", "192.0.2.1"])
def test_addresses_of_others_are_not(other: str) -> None:
    assert let_in(ConnectionLimit(99, 1), "2001:db8:0:1::1", other) == [True, True]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.3.2.1", "::1", "10.9.0.1", "::ffff:10.9.0.1"]
)
def test_local_programs_and_proxies_share_an_address(address: str) -> None:
    limit = ConnectionLimit(4, 1, exempt=("10.9.0.0/16",))

    assert let_in(limit, *[address] * 5) == [True] * 4 + [False]


@pytest.mark.attack
def test_nothing_is_kept_of_addresses_that_have_left() -> None:
    limit = ConnectionLimit(9, 9)
    for number in range(100):
        key = limit.enter(f"192.0.2.{number}")
        assert key is not None
        limit.leave(key)

    assert limit.open == 0
    assert not limit._by_address


@pytest.mark.attack
def test_what_is_refused_is_counted_and_logged_together(caplog: pytest.LogCaptureFixture) -> None:
    refused: list[str] = []
    limit = ConnectionLimit(2, 1, on_refused=refused.append)
    let_in(limit, *["192.0.2.1"] * 3, *["192.0.2.2"] * 2, *["192.0.2.3"] * 2)

    with caplog.at_level(logging.WARNING):
        limit.log_refused()
        limit.log_refused()

    assert refused == [ADDRESS, ADDRESS, TOTAL, TOTAL, TOTAL]
    [line] = caplog.records
    assert (vars(line)[ADDRESS], vars(line)[TOTAL], vars(line)["open"]) == (2, 3, 2)
