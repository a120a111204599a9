"""A real worker carries out snapshot policies on a real LXD."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from msgspec.structs import replace

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.events import PolicyRunChanged, ProtectionReported
from shared.contracts.policies import (
    PolicyRunPage,
    Protection,
    ProtectionState,
    RunState,
    Schedule,
    Simulation,
    SimulationRequest,
    SnapshotMark,
)
from shared.contracts.worker_api import SnapshotList
from tests.lxd_worker.integration.conftest import module_fixtures
from tests.support.bus_side import BusSide
from tests.support.lxd import Instances
from tests.support.lxd_worker.centre import Centre
from tests.support.worker_process import WorkerProcess

vhost, worker = module_fixtures()


@pytest.fixture
def centre(bus: BusSide, instances: Instances, worker: WorkerProcess) -> Centre:
    return Centre(bus, instances)


def test_a_policy_takes_snapshots_prunes_them_and_tells_so(
    centre: Centre, instances: Instances
) -> None:
    web, db = instances.launch("web"), instances.launch("db")
    policy = centre.policy(web, db)
    instances.lxd.call("POST", f"/1.0/instances/{web}/snapshots", {"name": "by-hand"})
    centre.give(policy)

    assert centre.run(policy, 1) == 2
    first = centre.over(web, 1)
    for second in (2, 3):
        centre.run(policy, second, project="default", name=web)
        centre.over(web, second)
    kept = {f"hourly-20261129T12000{second}Z" for second in (2, 3)} | {"by-hand"}
    centre.bus.until(lambda: set(centre.snapshots(web)) == kept)

    assert (first.state, first.manual, first.policy) == (RunState.TAKEN, True, "hourly")
    listed = from_wire(
        SnapshotList,
        centre.bus.call("snapshots", "default", web, instances.lxd.uuid_of(web)),
    ).snapshots
    assert {one.name: one.policy for one in listed} == dict.fromkeys(kept, "hourly") | {
        "by-hand": ""
    }
    told = centre.protection(web, ProtectionState.PROTECTED)
    assert told.policies == ("hourly",)
    report = centre.bus.of(ProtectionReported)[-1]
    assert report.clock_trusted
    pruned = centre.bus.until(
        lambda: [one.run for one in centre.bus.of(PolicyRunChanged) if one.run.pruned]
    )
    assert pruned[-1].pruned == ("hourly-20261129T120001Z",)
    page = from_wire(PolicyRunPage, centre.bus.call("policy_runs_since", 0, 500))
    assert {run.state for run in page.runs if run.instance in (web, db)} == {RunState.TAKEN}


def test_a_snapshot_that_is_deleted_in_lxd_is_seen_without_polling(
    centre: Centre, instances: Instances
) -> None:
    name = instances.launch()
    policy = centre.policy(name)
    centre.give(policy)
    centre.run(policy, 1)
    centre.over(name, 1)
    centre.bus.until(
        lambda: centre.protection(name, ProtectionState.PROTECTED).snapshots == 1 or None
    )

    instances.lxd.call("DELETE", f"/1.0/instances/{name}/snapshots/hourly-20261129T120001Z")

    centre.bus.until(
        lambda: centre.protection(name, ProtectionState.PROTECTED).snapshots == 0 or None
    )


def test_an_instance_with_the_uuid_of_its_copy_is_told_and_prunes_nothing(
    centre: Centre, instances: Instances
) -> None:
    web, keep = instances.create("web"), instances.name("keep")
    policy = centre.policy(web, keep)
    centre.give(policy)
    centre.taken(web, 1, 2)
    found = instances.lxd.call("GET", f"/1.0/instances/{web}")
    kept = {key: found[key] for key in ("architecture", "config", "devices", "profiles")}
    body = {"name": keep, "source": {"type": "copy", "source": web}} | kept
    instances.lxd.call("POST", "/1.0/instances", body)
    restored = {"restore": "hourly-20261129T120001Z"}
    instances.lxd.call("PUT", f"/1.0/instances/{keep}", restored)
    assert instances.lxd.uuid_of(keep) == instances.lxd.uuid_of(web)
    centre.bus.until(lambda: told_of(centre, keep, web))

    centre.run(policy, 3)
    for name in (web, keep):
        assert centre.protection(name, ProtectionState.FAILING).code == "duplicate_uuid"
    copied = centre.snapshots(keep)
    config = {"config": {"volatile.uuid": str(uuid4())}}
    instances.lxd.call("PATCH", f"/1.0/instances/{keep}", config)
    uuid = instances.lxd.uuid_of(keep)
    centre.bus.until(lambda: told_of(centre, keep)[0].uuid == uuid)
    for second in (4, 5, 6):
        centre.run(policy, second)
        centre.over(web, second)
        centre.over(keep, second)

    centre.until_there(web, 5, 6)
    centre.bus.until(lambda: len(centre.snapshots(keep)) == len(copied) + 2)
    assert set(copied) <= set(centre.snapshots(keep))


def told_of(centre: Centre, *names: str) -> list[Protection]:
    """Return what was reported last of these instances; empty: not of all of them."""
    reports = centre.bus.of(ProtectionReported)
    last = {one.name: one for one in reports[-1].instances} if reports else {}
    return [last[name] for name in names] if last.keys() >= set(names) else []


def test_what_is_protected_or_expires_stays(centre: Centre, instances: Instances) -> None:
    name = instances.launch()
    policy = centre.policy(name)
    centre.give(policy)
    for second in (1, 2):
        centre.run(policy, second)
        centre.over(name, second)
    uuid = instances.lxd.uuid_of(name)
    mark = SnapshotMark(
        project="default",
        name=name,
        uuid=uuid,
        snapshot="hourly-20261129T120001Z",
        protected=True,
    )
    centre.bus.call("mark_snapshot", to_wire(mark))
    instances.lxd.call(
        "PUT",
        f"/1.0/instances/{name}/snapshots/hourly-20261129T120002Z",
        {"expires_at": "2030-01-01T00:00:00Z"},
    )
    for second in (3, 4, 5):
        centre.run(policy, second)
        centre.over(name, second)

    centre.until_there(name, 1, 2, 4, 5)


def test_a_clock_that_disagrees_prunes_nothing_until_it_agrees(
    centre: Centre, instances: Instances
) -> None:
    name = instances.launch()
    policy = centre.policy(name)
    centre.give(policy, clock=time.time() + 3600)
    for second in (1, 2, 3):
        centre.run(policy, second)
        centre.over(name, second)
    held = centre.snapshots(name)
    told = centre.bus.until(
        lambda: [one for one in centre.bus.of(ProtectionReported) if not one.clock_trusted]
    )
    centre.give(policy)
    centre.run(policy, 4)

    centre.until_there(name, 3, 4)
    assert len(held) == 3
    assert told


def test_a_simulation_lists_what_is_there_and_what_will_be(
    centre: Centre, instances: Instances
) -> None:
    name = instances.launch()
    policy = centre.policy(name)
    centre.give(policy)
    centre.run(policy, 1)
    centre.over(name, 1)
    daily = replace(policy, schedule=Schedule(cron="0 3 * * *"))

    answer = centre.bus.call("simulate_policy", to_wire(SimulationRequest(policy=daily, days=5)))

    (instance,) = from_wire(Simulation, answer).instances
    assert [event.action for event in instance.events] == [
        "take",
        "take",
        "prune",
        "take",
        "prune",
        "take",
        "prune",
        "take",
        "prune",
    ]
    assert instance.events[2].snapshot == "hourly-20261129T120001Z"
