from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.gateway.fleet.change_set import ChangeSet
from services.gateway.ws.change_log import LogEntry
from services.gateway.ws.topic_sources import (
    MOST_AT_ONCE,
    HostSource,
    InstanceSource,
    OperationSource,
    Source,
)
from shared.contracts.errors import DatabaseUnavailable
from shared.contracts.operations import State
from tests.support.builders import an_operation
from tests.support.gateway import FakeFleet, FakeOperations
from tests.support.views import a_host_view, a_view, an_offline_host

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def candidates(source: Source) -> dict[str, Any]:
    return {each.key: _value(each) for each in source.candidates()}


def _value(entry: LogEntry) -> Any:
    return None if entry.text is None else json.loads(entry.text)


async def instances(fleet: FakeFleet, *, secrets: bool = True) -> InstanceSource:
    source = InstanceSource(fleet, secrets=secrets)
    await source.start(lambda: None)
    return source


async def hosts(fleet: FakeFleet) -> HostSource:
    source = HostSource(fleet, lambda: NOON)
    await source.start(lambda: None)
    return source


def operations(fake: FakeOperations, newest: int = 500) -> OperationSource:
    return OperationSource(fake, lambda each: {"state": each.state}, newest)


async def test_at_first_all_instances_are_told() -> None:
    fleet = FakeFleet(known_instances=[a_view("a"), a_view("b", host="h1")])

    assert sorted(candidates(await instances(fleet))) == ["h1/default/a", "h1/default/b"]


async def test_later_only_instances_that_changed_or_went() -> None:
    kept, changes, goes = (a_view(name) for name in ("kept", "changes", "goes"))
    fleet = FakeFleet(known_instances=[kept, changes, goes])
    source = await instances(fleet)
    source.candidates()

    stopped = a_view("changes", status="Stopped")
    fleet.change(instances=[kept, stopped])
    told = candidates(source)

    assert told.keys() == {"h1/default/changes", "h1/default/goes"}
    assert told["h1/default/changes"]["info"]["status"] == "Stopped"
    assert told["h1/default/goes"] is None


async def test_instances_change_with_what_they_show_of_their_host() -> None:
    fleet = FakeFleet()
    source = await instances(fleet)
    source.candidates()

    fleet.change(hosts=[a_host_view(lxd_connected=False)])

    assert candidates(source)["h1/default/test1"]["info"]["stale"] is True


async def test_figures_are_no_change_of_an_instance() -> None:
    fleet = FakeFleet()
    source, wakeups = await instances(fleet), []
    await source.start(lambda: wakeups.append(1))
    source.candidates()

    fleet.publish(ChangeSet(samples=frozenset({("test1", "h1", "default")})))

    assert (wakeups, candidates(source)) == ([], {})


async def test_a_password_is_told_to_nobody_without_the_right() -> None:
    fleet = FakeFleet()

    entry = candidates(await instances(fleet, secrets=False))["h1/default/test1"]

    assert "password123" in str(candidates(await instances(fleet)))
    assert "password123" not in str(entry)


async def test_growing_older_is_no_change_of_an_instance() -> None:
    fleet = FakeFleet(known_hosts=[an_offline_host(age_s=10.0)])
    source = await instances(fleet)
    source.candidates()

    fleet.change(hosts=[an_offline_host(age_s=11.0)])

    assert candidates(source) == {}


async def test_the_instances_of_a_host_that_falls_silent_follow_a_part_at_a_time() -> None:
    many = [a_view(f"i{number}") for number in range(MOST_AT_ONCE + 1)]
    fleet = FakeFleet(known_instances=many)
    source = await instances(fleet)
    source.candidates()
    source.candidates()

    fleet.change(hosts=[an_offline_host(age_s=16.0)])
    first, more = candidates(source), source.has_more
    rest, end = candidates(source), source.has_more

    assert (len(first), more, len(rest), end) == (MOST_AT_ONCE, True, 1, False)
    assert {entry["info"]["host_online"] for entry in (first | rest).values()} == {False}


async def test_growing_older_is_no_change_of_a_host() -> None:
    fleet = FakeFleet()
    source = await hosts(fleet)
    source.candidates()

    older = a_host_view(age_s=4.5, inventory_age_s=16.0, sample_age_s=5.0, clock_skew_s=0.2)
    fleet.change(hosts=[older])

    assert candidates(source) == {}


async def test_a_host_that_is_away_shows_since_when() -> None:
    fleet = FakeFleet(known_hosts=[a_host_view(online=False, age_s=60.0)])

    entry = candidates(await hosts(fleet))["h1"]

    assert (entry["online"], entry["last_heard_utc"]) == (False, "2026-11-20T11:59:00Z")


async def test_a_forgotten_host_is_gone() -> None:
    fleet = FakeFleet()
    source = await hosts(fleet)
    source.candidates()

    fleet.change(hosts=[], instances=[])

    assert candidates(source) == {"h1": None}


async def test_operations_are_those_there_are_and_then_their_news() -> None:
    fake = FakeOperations()
    old = fake.record(an_operation(state=State.RUNNING))
    source, told = operations(fake), []

    end = await source.start(lambda: told.append(1))
    first = candidates(source)
    fake.end(old.operation_id, state=State.DONE)

    assert first == {old.operation_id: {"state": "running"}}
    assert candidates(source) == {old.operation_id: {"state": "done"}}
    assert told == [1]
    end()
    assert not fake.watched


async def test_a_host_cannot_change_another_hosts_operation() -> None:
    fake = FakeOperations()
    fake.record(an_operation())
    source = operations(fake)
    await source.start(lambda: None)

    fake.record(an_operation(host="h2", state=State.FAILED, sequence=9))
    told = [each for each in source.candidates() if each.text]

    assert [(each.host, each.text) for each in told] == [("h1", b'{"state":"running"}')]


@pytest.mark.parametrize("seen_before", [True, False])
async def test_a_submission_that_another_host_takes_is_followed_there(seen_before: bool) -> None:
    fake = FakeOperations()
    source = operations(fake)
    await source.start(lambda: None)
    first = an_operation(state=State.SUBMITTING, sequence=0)
    fake.record(first)
    if seen_before:
        candidates(source)

    fake.record(an_operation(host="h2", state=State.SUBMITTING, sequence=0))
    fake.record(an_operation(host="h2", state=State.RUNNING, sequence=3))

    assert candidates(source) == {first.operation_id: {"state": "running"}}


async def test_newer_operations_displace_the_oldest() -> None:
    fake = FakeOperations()
    source = operations(fake, newest=2)
    await source.start(lambda: None)
    for number in range(3):
        fake.record(
            an_operation(operation_id=f"op-{number}", created_at=f"2026-11-20T10:00:0{number}Z")
        )
        told = candidates(source)

    assert told == {"op-0": None, "op-2": {"state": "running"}}


@pytest.mark.attack
@pytest.mark.parametrize("year", [2026, 9999])
async def test_a_host_with_many_operations_displaces_those_of_no_other(year: int) -> None:
    fake = FakeOperations()
    source = operations(fake, newest=4)
    await source.start(lambda: None)
    for number in range(2):
        fake.record(an_operation(f"mine-{number}", created_at="2020-01-01T00:00:00Z"))
    shown = set(candidates(source))

    for number in range(20):
        at = f"{year}-11-20T10:00:{number:02}Z"
        fake.record(an_operation(f"flood-{number}", host="evil", created_at=at))
        if number % 7 == 0:
            told = candidates(source)
            shown = (shown | told.keys()) - {key for key, text in told.items() if text is None}
    told = candidates(source)
    shown = (shown | told.keys()) - {key for key, text in told.items() if text is None}

    assert shown == {"mine-0", "mine-1", "flood-18", "flood-19"}


async def test_operations_that_cannot_be_read_are_not_watched() -> None:
    fake = FakeOperations(list_refusal=DatabaseUnavailable())

    with pytest.raises(DatabaseUnavailable):
        await operations(fake).start(lambda: None)

    assert not fake.watched
