"""What one host tells of operations crowds out no news of another one."""

from __future__ import annotations

import pytest

from services.gateway.operations.cache import MOST, RecentOperations
from services.gateway.operations.store import OperationFilter
from shared.contracts.codec import encode
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Arguments, Operation
from tests.support.builders import an_operation
from tests.support.core import Core


@pytest.fixture
def recent() -> RecentOperations:
    return RecentOperations()


def of(host: str, number: int = 0, **more: object) -> Operation:
    return an_operation(f"{host}-{number}", host=host, **more)


def flood(recent: RecentOperations, host: str, count: int, **more: object) -> None:
    for number in range(count):
        recent.put(of(host, number, **more))


@pytest.mark.attack
def test_a_flood_of_one_host_drops_its_own_oldest(recent: RecentOperations) -> None:
    recent.put(of("quiet"))

    flood(recent, "loud", 1500)

    assert recent.get("quiet", "quiet-0") == of("quiet")
    assert recent.get("loud", "loud-499") is None
    assert recent.get("loud", "loud-500") == of("loud", 500)
    assert len(list(recent)) == 1001


@pytest.mark.attack
def test_of_large_news_of_one_host_fewer_are_held(recent: RecentOperations) -> None:
    flood(recent, "loud", 1000, arguments=Arguments(description="x" * 8000))

    assert sum(len(encode(operation)) for operation in recent) <= 4 * 2**20
    assert recent.get("loud", "loud-999") is not None


@pytest.mark.attack
def test_floods_of_many_hosts_drop_what_the_loudest_told(recent: RecentOperations) -> None:
    recent.put(of("quiet"))

    for host in range(12):
        flood(recent, f"loud{host}", 1000)

    assert recent.get("quiet", "quiet-0") is not None
    assert len(list(recent)) == MOST


def test_newer_news_take_the_place_of_older_ones(recent: RecentOperations) -> None:
    recent.put(of("h1"))
    recent.put(of("h1", sequence=2))

    assert list(recent) == [of("h1", sequence=2)]
    recent.pop("h1", "h1-0")
    assert list(recent) == []


def test_an_id_is_found_whichever_host_told_of_it(recent: RecentOperations) -> None:
    recent.put(of("h1"))
    recent.put(of("h2"))

    assert recent.find("h2-0") == of("h2")
    assert recent.find("another") is None


@pytest.mark.attack
async def test_an_operation_from_the_future_is_not_the_newest_for_ever(gateway: Core) -> None:
    invented = an_operation("op-9", created_at="9999-01-01T00:00:00Z")

    gateway.events.on_event("h1", OperationChanged(operation=invented))
    await gateway.events.on_outcome(an_operation("op-8", created_at="9999-01-01T00:00:00Z"))
    gateway.time.advance(1)
    newest = await gateway.submit()

    listed = await gateway.operations.list(OperationFilter())
    assert listed[0].operation_id == newest.operation_id
    assert "9999" not in gateway.store.operations["op-8"].created_at
