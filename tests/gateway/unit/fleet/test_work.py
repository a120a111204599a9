"""How much work an event, a page or a silent host makes among 100 hosts with 100 instances each.

What is counted are instances that are rendered and views that are made, never time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.change_set import ChangeSet
from services.gateway.fleet.host_state import HostState
from services.gateway.fleet.instance_index import InstanceQuery
from services.gateway.fleet.pagination import PageRequest
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.instance_list import InstanceFilter, InstanceList, ListQuery
from services.gateway.responses import instances as shown
from services.gateway.responses.metrics import subjects
from services.gateway.responses.stream import instance_entry
from services.gateway.ws.topic_sources import MOST_AT_ONCE, InstanceSource
from shared.contracts.instances import Instance
from tests.support.builders import a_change, a_heartbeat, a_sample, an_instance, an_inventory
from tests.support.clock import FakeClock
from tests.support.gateway import FakeFleet
from tests.support.gateway_http import FakeGateway

HOSTS = INSTANCES = 100


class Counted:
    """Counts the instances that are rendered by what it stands for."""

    def __init__(self, render: object) -> None:
        self.count = 0
        self._render = render

    def __call__(self, view: InstanceView, host: HostView, **more: object) -> object:
        self.count += 1
        return self._render(view, host, **more)  # type: ignore[operator]

    def since_last(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fleet(time: FakeClock) -> FleetView:
    fleet = FleetView(time.clock, ready_after_s=0)
    for host in host_ids():
        fleet.apply(host, a_heartbeat())
        fleet.apply(host, an_inventory(*instances_of(host)))
        fleet.apply(host, a_sample(*instances_of(host)))
    return fleet


@pytest.fixture
def changes(fleet: FleetView) -> list[ChangeSet]:
    published: list[ChangeSet] = []
    fleet.watch(published.append)
    return published


@pytest.fixture
def host_views(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the hosts of which a view was made, each as often as it was."""
    made: list[str] = []
    make = HostState.view

    def counted(state: HostState) -> HostView:
        made.append(state.host)
        return make(state)

    monkeypatch.setattr(HostState, "view", counted)
    return made


@pytest.fixture
def in_lists(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(shown.information)
    monkeypatch.setattr(shown, "information", counted)
    return counted


@pytest.fixture
def in_streams(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(instance_entry)
    monkeypatch.setattr("services.gateway.ws.topic_sources.instance_entry", counted)
    return counted


def host_ids() -> Iterable[str]:
    return (f"h{number:02}" for number in range(HOSTS))


def frozen(name: str) -> Instance:
    return an_instance(name, uuid=name, status="Frozen", revision=2)


def instances_of(host: str) -> list[Instance]:
    names = (f"i{number:02}-{host}" for number in range(INSTANCES))
    return [an_instance(name, uuid=name) for name in names]


async def read(lists: InstanceList, limit: int = 10, **wanted: str) -> list[str]:
    query = ListQuery(InstanceFilter(**wanted), secrets=True, part=PageRequest(limit))
    return (await lists.instances(query)).body.decode().split('"name":')[1:]


async def drained(source: InstanceSource) -> int:
    """Return how many entries a source returns, whatever number of parts they come in."""
    count = len(list(source.candidates()))
    while source.has_more:
        count += len(list(source.candidates()))
    return count


def test_an_event_names_what_it_touches(fleet: FleetView, changes: list[ChangeSet]) -> None:
    fleet.apply(
        "h50", a_change(an_instance("i50-h50", uuid="i50-h50", status="Frozen", revision=2))
    )

    assert changes == [ChangeSet(frozenset({"h50"}), frozenset({("i50-h50", "h50", "default")}))]


def test_a_sample_is_one_change_of_its_host(fleet: FleetView, changes: list[ChangeSet]) -> None:
    fleet.apply("h50", a_sample(*instances_of("h50"), sequence=2))

    assert changes == [ChangeSet(hosts=frozenset({"h50"}), samples=frozenset({"h50"}))]


def test_a_silent_host_is_one_change(
    fleet: FleetView, time: FakeClock, changes: list[ChangeSet]
) -> None:
    time.advance(14)
    for host in host_ids():
        if host != "h50":
            fleet.apply(host, a_heartbeat(sequence=1))
    changes.clear()

    time.advance(2)
    fleet.tick()

    assert changes == [ChangeSet(frozenset({"h50"}))]


async def test_a_page_renders_what_is_on_it_once(
    fleet: FleetView, time: FakeClock, in_lists: Counted
) -> None:
    lists = InstanceList(fleet, time.monotonic, ErrorBoundary())

    assert (len(await read(lists)), in_lists.since_last()) == (10, 10)

    fleet.apply("h50", a_sample(*instances_of("h50"), sequence=2))
    assert (len(await read(lists)), in_lists.since_last()) == (10, 0)

    fleet.apply("h00", a_sample(*instances_of("h00"), sequence=2))
    assert (len(await read(lists)), in_lists.since_last()) == (10, 0)

    fleet.apply("h00", a_change(an_instance("i00-h00", uuid="i00-h00", revision=2, os="new")))
    assert (len(await read(lists)), in_lists.since_last()) == (10, 1)

    assert (len(await read(lists, host="h50")), in_lists.since_last()) == (10, 10)
    assert (len(await read(lists, status="running")), in_lists.since_last()) == (10, 0)
    assert (len(await read(lists, search="i99-h9")), in_lists.since_last()) == (10, 10)


def test_a_part_of_a_list_makes_its_views_only(fleet: FleetView) -> None:
    running = fleet.select(InstanceQuery(statuses=frozenset({"Running"}), type="container"))

    page = running[5000:5010]

    made = [record for record in running._records if record._view is not None]  # type: ignore[attr-defined]
    assert (len(running), len(page), len(made)) == (HOSTS * INSTANCES, 10, 10)


async def test_health_makes_no_views(fleet: FleetView, host_views: list[str]) -> None:
    async with FakeGateway(fleet=cast("FakeFleet", fleet)).client() as client:
        listed = (await client.get("/api/health")).json()["hosts"]

    assert (len(listed), host_views) == (HOSTS, [])


def test_a_scrape_of_all_goes_from_host_to_host(fleet: FleetView, host_views: list[str]) -> None:
    steps = subjects(fleet, fleet.host_ids())

    first = next(steps)

    assert (host_views, len(first.found)) == (["h00"], INSTANCES)
    assert [len(some.found) for some in steps] == [INSTANCES] * (HOSTS - 1)
    assert host_views == list(host_ids())


async def test_a_scrape_of_one_host_reads_that_host(
    fleet: FleetView, host_views: list[str]
) -> None:
    async with FakeGateway(fleet=cast("FakeFleet", fleet)).client() as client:
        answer = await client.get("/metrics/hosts/h50")

    assert (answer.status_code, set(host_views)) == (200, {"h50"})


async def test_a_stream_renders_what_changed(
    fleet: FleetView, time: FakeClock, in_streams: Counted
) -> None:
    source = InstanceSource(fleet, secrets=True)
    await source.start(lambda: None)

    assert await drained(source) == in_streams.since_last() == HOSTS * INSTANCES

    fleet.apply(
        "h50", a_change(an_instance("i50-h50", uuid="i50-h50", status="Frozen", revision=2))
    )
    assert await drained(source) == in_streams.since_last() == 1

    fleet.apply("h50", a_sample(*instances_of("h50"), sequence=2))
    assert await drained(source) == in_streams.since_last() == 0

    time.advance(16)
    fleet.tick()
    assert len(list(source.candidates())) == in_streams.since_last() == MOST_AT_ONCE
