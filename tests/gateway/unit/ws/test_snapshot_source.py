"""The topic `snapshots`: runs of policies, and how instances are protected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.gateway.fleet.recent_runs import MOST_RUNS
from services.gateway.fleet.view import FleetView
from services.gateway.ws.change_log import LogEntry
from services.gateway.ws.snapshot_source import MOST_AT_ONCE, SnapshotTopicSource
from shared.contracts.events import PolicyRunChanged
from shared.contracts.policies import PolicyRun, ProtectionState, RunState
from tests.support.builders import (
    a_heartbeat,
    a_protection,
    a_protection_report,
    a_removal,
    a_run,
    an_instance,
    an_inventory,
)
from tests.support.clock import FakeClock

WEB, DB = an_instance("web"), an_instance("db")


def a_fleet(time: FakeClock, *hosts: str) -> FleetView:
    fleet = FleetView(time.clock, ready_after_s=0)
    for host in hosts or ("h1",):
        fleet.apply(host, a_heartbeat())
        fleet.apply(host, an_inventory(WEB, DB))
    return fleet


def ran(fleet: FleetView, run: PolicyRun, host: str = "h1") -> None:
    fleet.apply(host, PolicyRunChanged(run=run))


async def a_source(fleet: FleetView, wakeups: list[int] | None = None) -> SnapshotTopicSource:
    source = SnapshotTopicSource(fleet, lambda code: f"because of {code}")
    await source.start(lambda: None if wakeups is None else wakeups.append(1))
    return source


def entries(source: SnapshotTopicSource) -> list[LogEntry]:
    found = list(source.candidates())
    while source.has_more:
        found += source.candidates()
    return found


def values(source: SnapshotTopicSource) -> dict[str, Any]:
    return {each.key: each.text and json.loads(each.text) for each in entries(source)}


async def test_at_first_the_newest_runs_come_first_then_the_instances(time: FakeClock) -> None:
    fleet = a_fleet(time, "h1", "h2")
    fleet.apply("h1", a_protection_report(a_protection(WEB)))
    for number, host in enumerate(("h2", "h1", "h2")):
        ran(fleet, a_run(f"run-{number}", started_at=f"2026-11-20T0{number}:00:00Z"), host)

    told = [each for each in entries(await a_source(fleet)) if each.text is not None]

    assert [each.key for each in told][:3] == ["run/h2/run-2", "run/h1/run-1", "run/h2/run-0"]
    # Nothing is known of h2's.
    assert {each.key for each in told[3:]} == {
        "protection/h1/default/web",
        "protection/h1/default/db",
    }


async def test_later_only_what_differs_is_told(time: FakeClock) -> None:
    fleet, wakeups = a_fleet(time), list[int]()
    fleet.apply("h1", a_protection_report(a_protection(WEB), a_protection(DB)))
    source = await a_source(fleet, wakeups)
    entries(source)

    late = a_protection(WEB, state=ProtectionState.LATE)
    fleet.apply("h1", a_protection_report(late, a_protection(DB)))
    ran(fleet, a_run(state=RunState.VETOED, code="command_failed", sequence=2))

    told = values(source)
    assert wakeups == [1, 1]
    assert told.keys() == {"protection/h1/default/web", "run/h1/run-1"}
    assert told["protection/h1/default/web"]["state"] == "late"
    run = told["run/h1/run-1"]
    assert (run["kind"], run["state"]) == ("run", "vetoed")
    assert run["message"] == "because of command_failed"


async def test_what_time_alone_changes_is_no_change(time: FakeClock) -> None:
    fleet, wakeups = a_fleet(time), list[int]()
    fleet.apply("h1", a_protection_report(a_protection(WEB)))
    source = await a_source(fleet, wakeups)
    entries(source)

    time.advance(3600)
    fleet.tick()

    assert (wakeups, entries(source)) == ([], [])


async def test_what_is_gone_is_told(time: FakeClock) -> None:
    fleet = a_fleet(time)
    fleet.apply("h1", a_protection_report(a_protection(WEB)))
    ran(fleet, a_run())
    source = await a_source(fleet)
    entries(source)

    fleet.apply("h1", a_removal("web"))
    time.advance(3600)
    fleet.forget("h1")

    assert values(source) == {
        "protection/h1/default/web": None,
        "protection/h1/default/db": None,
        "run/h1/run-1": None,
    }


async def test_filters_find_an_entry_by_its_instance(time: FakeClock) -> None:
    fleet = a_fleet(time)
    ran(fleet, a_run(project="shop"))
    fleet.apply("h1", a_protection_report(a_protection(WEB)))

    places = {(e.host, e.name, e.project) for e in entries(await a_source(fleet)) if e.text}

    assert places == {("h1", "web", "shop"), ("h1", "web", "default"), ("h1", "db", "default")}


@pytest.mark.attack
async def test_a_host_with_many_runs_displaces_none_of_another(time: FakeClock) -> None:
    fleet = a_fleet(time, "h1", "h2")
    ran(fleet, a_run("theirs"), "h2")
    source = await a_source(fleet)
    entries(source)

    for number in range(3 * MOST_RUNS):
        ran(fleet, a_run(f"run-{number}", sequence=number + 1))

    told = values(source)
    present = [key for key, value in told.items() if value]
    assert len(present) == MOST_RUNS
    assert "run/h2/theirs" not in told


@pytest.mark.attack
async def test_a_host_that_takes_the_id_of_anothers_run_has_one_of_its_own(time: FakeClock) -> None:
    fleet = a_fleet(time, "h1", "h2")
    ran(fleet, a_run(state=RunState.TAKEN), "h1")
    ran(fleet, a_run(state=RunState.FAILED, sequence=99), "h2")

    told = values(await a_source(fleet))

    assert (told["run/h1/run-1"]["state"], told["run/h2/run-1"]["state"]) == ("taken", "failed")


async def test_a_large_host_is_told_of_a_part_at_a_time(time: FakeClock) -> None:
    fleet = a_fleet(time)
    many = [an_instance(f"i{number}") for number in range(MOST_AT_ONCE + 1)]
    source = await a_source(fleet)
    entries(source)

    fleet.apply("h1", an_inventory(*many, sequence=2))
    fleet.apply("h1", a_protection_report(*map(a_protection, many)))

    assert len(list(source.candidates())) == MOST_AT_ONCE
    assert source.has_more
