"""Updates, renames and snapshots of real containers, from an order on the real bus."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from shared.contracts.codec import from_wire
from shared.contracts.errors import InstanceChangedSince, PortInUse, SnapshotExists
from shared.contracts.events import InstanceChanged, InstanceRemoved
from shared.contracts.instance_config import Changes, Forward
from shared.contracts.instance_etag import etag
from shared.contracts.operations import Kind, Operation, State
from shared.contracts.worker_api import SnapshotList
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.bus_side import BusSide
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances, Lxd
from tests.support.worker_process import WorkerProcess

from .conftest import carried_out, order, running_worker

pytestmark = pytest.mark.usefixtures("worker")

MIB = 1 << 20


@pytest.fixture(scope="module")
def first_port() -> int:
    """Return where the pool of ports begins: none from which the kernel connects."""
    return 11000 + secrets.randbelow(210) * 100


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[Vhost]:
    with fresh_vhost(broker) as vhost:
        yield vhost


@pytest.fixture(scope="module")
def worker(
    vhost: Vhost, lxd: Lxd, first_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    settings = {
        "FLEET_NAT_ADDRESS": "127.0.0.1",
        "FLEET_NAT_PORTS": f"{first_port}-{first_port + 99}",
        "FLEET_OVERCOMMIT_CPU": "1000",
        "FLEET_OVERCOMMIT_MEMORY": "1000",
        "FLEET_OVERCOMMIT_DISK": "1000",
    }
    with running_worker(vhost, lxd, tmp_path_factory.mktemp("worker"), **settings) as process:
        yield process


def described(instances: Instances, name: str) -> Any:
    return instances.lxd.call("GET", f"/1.0/instances/{name}")


def updated(bus: BusSide, instances: Instances, name: str, **changes: Any) -> Operation:
    return carried_out(bus, instances, Kind.UPDATE, name, changes=Changes(**changes))


def snapshots(bus: BusSide, instances: Instances, name: str) -> SnapshotList:
    uuid = instances.lxd.uuid_of(name)
    return from_wire(SnapshotList, bus.call("snapshots", "default", name, uuid))


def test_a_running_instance_is_changed_without_a_restart(
    bus: BusSide, instances: Instances, lifecycle: Lifecycle
) -> None:
    name = instances.launch(description="old", config={"user.lxdfleet.label.old": "x"})
    so_far = len(lifecycle.of(name))

    operation = updated(
        bus,
        instances,
        name,
        cpu=1,
        memory=64 * MIB,
        disk=512 * MIB,
        description="new",
        auto_start=True,
        labels={"tier": "front"},
    )

    after = operation.after
    assert (operation.state, operation.changed, operation.needs_restart) == (State.DONE, True, ())
    assert after is not None
    assert (after.cpu_limit, after.memory_limit, after.root_size) == ("1", 64 * MIB, 512 * MIB)
    assert (after.description, after.auto_start) == ("new", True)
    assert after.labels == {"tier": "front"}
    assert lifecycle.of(name)[so_far:] == ["updated"]


def test_what_is_so_already_is_not_written_again(
    bus: BusSide, instances: Instances, lifecycle: Lifecycle
) -> None:
    name = instances.create(description="mine", config={"limits.memory": "64MiB"})

    operation = updated(bus, instances, name, description="mine", memory=64 * MIB)

    assert (operation.state, operation.changed) == (State.DONE, False)
    assert "updated" not in lifecycle.of(name)


def test_an_update_of_what_somebody_else_has_changed_since_is_refused(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.create()
    seen = updated(bus, instances, name, description="seen").after
    assert seen is not None
    instances.lxd.call("PATCH", f"/1.0/instances/{name}", {"config": {"limits.cpu": "2"}})

    with pytest.raises(InstanceChangedSince):
        bus.submit(order(instances, Kind.UPDATE, name, changes=Changes(cpu=1), etag=etag(seen)))

    assert described(instances, name)["config"]["limits.cpu"] == "2"


def test_less_memory_than_is_in_use_leaves_the_instance_as_it_was(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()

    operation = updated(bus, instances, name, memory=4096)

    assert operation.state is State.FAILED
    assert operation.failure is not None
    assert (operation.failure.code, operation.failure.values[0]) == ("invalid_input", "memory")
    assert "limits.memory" not in described(instances, name)["config"]
    assert instances.status(name) == "Running"


def test_ports_lead_to_the_instance_as_long_as_they_are_wanted(
    bus: BusSide, instances: Instances, first_port: int
) -> None:
    name = instances.launch()

    given = updated(bus, instances, name, forwards=(Forward(connect=80, count=2),))
    with socket.create_connection(("127.0.0.1", first_port + 1), timeout=5):
        pass
    taken_back = updated(bus, instances, name, forwards=())

    assert (given.failure, taken_back.failure) == (None, None)
    assert given.arguments.changes is not None
    assert given.arguments.changes.forwards == (Forward(listen=first_port, connect=80, count=2),)
    assert described(instances, name)["devices"] == {}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first_port), timeout=5)


def test_a_port_of_another_program_is_refused_before_lxd_is_asked(
    bus: BusSide, instances: Instances, first_port: int
) -> None:
    name = instances.create()
    wanted = Changes(forwards=(Forward(listen=first_port, connect=80),))

    with socket.create_server(("127.0.0.1", first_port)), pytest.raises(PortInUse):
        bus.submit(order(instances, Kind.UPDATE, name, changes=wanted))


def test_a_renamed_instance_is_the_same_one_under_another_name(
    bus: BusSide, instances: Instances
) -> None:
    old, new = instances.create("old", description="mine"), instances.name("new")

    operation = carried_out(
        bus, instances, Kind.RENAME, old, new_name=new, display_name="Web Server"
    )

    assert (operation.state, operation.instance) == (State.DONE, new)
    assert operation.after is not None
    assert operation.after.uuid == operation.uuid
    assert (operation.after.name, operation.after.display_name) == (new, "Web Server")
    assert operation.after.description == "mine"
    bus.until(lambda: [one for one in bus.of(InstanceRemoved) if one.name == old])
    bus.until(lambda: [one for one in bus.of(InstanceChanged) if one.instance.name == new])


def test_a_snapshot_is_taken_listed_and_deleted(bus: BusSide, instances: Instances) -> None:
    name = instances.create()

    taken = carried_out(bus, instances, Kind.SNAPSHOT, name, snapshot="before")
    listed = snapshots(bus, instances, name).snapshots
    with pytest.raises(SnapshotExists):
        bus.submit(order(instances, Kind.SNAPSHOT, name, snapshot="before"))
    deleted = carried_out(bus, instances, Kind.DELETE_SNAPSHOT, name, snapshot="before")

    assert (taken.failure, deleted.failure) == (None, None)
    assert [(one.name, one.stateful, one.expires_at) for one in listed] == [("before", False, "")]
    assert listed[0].created_at.endswith("Z")
    assert snapshots(bus, instances, name).snapshots == []


def test_a_snapshot_that_was_made_anew_since_the_deletion_was_wanted_stays(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.create()
    path = f"/1.0/instances/{name}/snapshots"
    instances.lxd.call("POST", path, {"name": "nightly"})
    (first,) = snapshots(bus, instances, name).snapshots
    instances.lxd.call("DELETE", f"{path}/nightly")
    instances.lxd.call("POST", path, {"name": "nightly"})
    (second,) = snapshots(bus, instances, name).snapshots

    meant = {"snapshot": "nightly", "snapshot_created_at": first.created_at}
    refused = carried_out(bus, instances, Kind.DELETE_SNAPSHOT, name, **meant)
    there = snapshots(bus, instances, name).snapshots
    meant["snapshot_created_at"] = second.created_at
    deleted = carried_out(bus, instances, Kind.DELETE_SNAPSHOT, name, **meant)

    assert refused.failure
    assert (refused.state, refused.failure.code) == (State.FAILED, "snapshot_not_found")
    assert there == [second]
    assert deleted.state is State.DONE


def test_of_two_snapshots_that_lxd_confuses_the_one_that_is_meant_is_restored_and_deleted(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.create(config={"limits.cpu": "1"})
    path = f"/1.0/instances/{name}/snapshots"
    instances.lxd.call("POST", path, {"name": "x%31"})
    updated(bus, instances, name, cpu=2)
    instances.lxd.call("POST", path, {"name": "x1"})

    restored = carried_out(bus, instances, Kind.RESTORE, name, snapshot="x%31")
    deleted = carried_out(bus, instances, Kind.DELETE_SNAPSHOT, name, snapshot="x%31")

    assert (restored.failure, deleted.failure) == (None, None)
    assert restored.after is not None
    assert restored.after.cpu_limit == "1"
    assert [one.name for one in snapshots(bus, instances, name).snapshots] == ["x1"]


def test_a_restored_instance_runs_with_its_old_settings_under_the_names_it_has_now(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch(description="mine", config={"limits.cpu": "1"})
    carried_out(bus, instances, Kind.SNAPSHOT, name, snapshot="before")
    updated(bus, instances, name, cpu=2)

    operation = carried_out(bus, instances, Kind.RESTORE, name, snapshot="before")

    assert operation.state is State.DONE
    assert operation.after is not None
    assert (operation.after.status, operation.after.cpu_limit) == ("Running", "1")
    assert operation.after.description == "mine"
