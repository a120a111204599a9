"""Several projects of one real LXD: what is told of them, and what is done in them."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from services.lxd_worker.lxd.daemon import LxdDaemon
from shared.contracts.codec import from_wire
from shared.contracts.errors import InvalidInput
from shared.contracts.events import InstanceChanged, InstanceRemoved, Inventory
from shared.contracts.operations import Kind, State
from shared.contracts.worker_api import SnapshotList
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.support.bus_side import BusSide, submission
from tests.support.lxd import Instances
from tests.support.lxd_project import Project
from tests.support.lxd_worker.wire import Omissions
from tests.support.worker_process import Prepare

from .conftest import wait_until_connected


def test_namesakes_in_two_projects_are_two_instances(
    bus: BusSide, instances: Instances, lxd_project: Project, prepare: Prepare
) -> None:
    name = instances.create("web")
    theirs = lxd_project.create(name)
    prepare(instances.lxd.socket).start()
    bus.reach()
    wait_until_connected(bus)

    inventory = bus.until(lambda: bus.of(Inventory))[0]
    start = submission(Kind.START, name, theirs, project=lxd_project.name)
    snapshot = submission(
        Kind.SNAPSHOT, name, theirs, project=lxd_project.name, arguments={"snapshot": "s1"}
    )
    bus.submit(start)
    started = bus.ended(start.operation_id)
    bus.submit(snapshot)
    taken = bus.ended(snapshot.operation_id)
    listed = from_wire(SnapshotList, bus.call("snapshots", lxd_project.name, name, theirs))
    lxd_project.delete(name)

    told = {(one.project, one.uuid) for one in inventory.instances if one.name == name}
    assert len(told) == 2
    assert (lxd_project.name, theirs) in told
    assert (started.state, taken.state) == (State.DONE, State.DONE), taken.failure
    assert started.after is not None
    assert (started.after.project, started.after.status) == (lxd_project.name, "Running")
    assert [one.name for one in listed.snapshots] == ["s1"]
    assert instances.status(name) == "Stopped"
    changes = [one.instance for one in bus.of(InstanceChanged) if one.instance.name == name]
    assert {one.project for one in changes} == {lxd_project.name}
    removed = bus.until(lambda: bus.of(InstanceRemoved))
    assert (lxd_project.name, name) in [(one.project, one.name) for one in removed]


def test_a_snapshot_that_is_copied_into_another_project_is_in_use(
    instances: Instances, lxd_project: Project
) -> None:
    name = instances.launch("web")
    fill = ["dd", "if=/dev/urandom", "of=/filled", "bs=1M", "count=600"]
    command = {"command": fill, "record-output": False, "interactive": False}
    instances.lxd.call("POST", f"/1.0/instances/{name}/exec", command)
    instances.lxd.call("POST", f"/1.0/instances/{name}/snapshots", {"name": "s1"})
    source = {"type": "copy", "source": f"{name}/s1", "project": "default"}
    root = {"type": "disk", "path": "/", "pool": "default"}
    architecture = instances.lxd.call("GET", f"/1.0/instances/{name}")["architecture"]
    body = {"name": "copy", "source": source, "profiles": [], "devices": {"root": root}}
    body |= {"architecture": architecture}
    daemon = LxdDaemon(LxdClient(instances.lxd.socket, "h1"), 1 << 30, LxdScope(), Omissions())

    before = daemon.is_in_use("default", name)
    copy = Thread(target=lxd_project.call, args=("POST", "/1.0/instances", body))
    copy.start()
    seen = []
    while copy.is_alive():
        seen.append((daemon.is_in_use("default", name), daemon.is_in_use("default", "db")))
        time.sleep(0.02)
    copy.join()

    assert not before
    assert (True, False) in seen
    assert not daemon.is_in_use("default", name)


def test_a_project_that_is_not_the_fleets_is_neither_told_nor_touched(
    bus: BusSide, instances: Instances, lxd_project: Project, prepare: Prepare
) -> None:
    name = instances.create("web")
    theirs = lxd_project.create(name)
    prepare(instances.lxd.socket).start(FLEET_LXD_PROJECTS="default")
    bus.reach()
    wait_until_connected(bus)

    inventory = bus.until(lambda: bus.of(Inventory))[0]
    with pytest.raises(InvalidInput):
        bus.submit(submission(Kind.START, name, theirs, project=lxd_project.name))
    lxd_project.set_state(name, "start")
    instances.set_state(name, "start")
    bus.until(lambda: [one for one in bus.of(InstanceChanged) if one.instance.name == name])

    told = [one for one in inventory.instances if one.name == name]
    assert [one.project for one in told] == ["default"]
    assert {one.instance.project for one in bus.of(InstanceChanged)} == {"default"}
