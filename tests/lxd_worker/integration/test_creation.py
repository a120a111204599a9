"""Creating containers on a real LXD, from an order on the real bus."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from shared.contracts.codec import to_wire
from shared.contracts.errors import (
    FleetError,
    ImageNotFound,
    InstanceExists,
    InsufficientResources,
    InvalidInput,
)
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import State, Submission
from tests.support.bus_side import BusSide, creation
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances
from tests.support.worker_process import WorkerProcess

MIB = 1 << 20


@pytest.fixture
def settings(nat_settings: dict[str, str]) -> dict[str, str]:
    return nat_settings


def test_a_new_instance_is_as_it_was_ordered(
    worker: WorkerProcess,
    bus: BusSide,
    instances: Instances,
    lifecycle: Lifecycle,
    first_port: int,
) -> None:
    name = instances.name("new")
    wanted = creation(
        name,
        display_name="Web Server",
        description="for the shop",
        labels={"tier": "front"},
        ssh=True,
        ports=3,
        auto_start=True,
    )

    assert bus.prepare(wanted).state is State.ACCEPTED
    bus.deliver_secrets(wanted.operation_id, root_password="correct-horse")
    operation = bus.ended(wanted.operation_id)

    assert (operation.failure, operation.state, operation.progress) == (None, State.DONE, 100)
    assert lifecycle.of(name)[-1:] == ["started"]
    made = instances.lxd.call("GET", f"/1.0/instances/{name}")
    assert made["config"]["volatile.uuid"] == wanted.uuid
    assert made["config"]["boot.autostart"] == "true"
    assert made["config"]["limits.memory"] == str(64 * MIB)
    assert "root:correct-horse" in made["config"]["cloud-init.user-data"]
    assert made["config"]["user.description"] == (
        f"{name} {first_port} correct-horse {first_port + 10} {first_port + 12}"
    )
    assert made["devices"]["root"]["size"] == str(64 * MIB)
    after = operation.after
    assert after is not None
    assert (after.status, after.uuid, after.display_name) == ("Running", wanted.uuid, "Web Server")
    assert (after.description, after.labels) == ("for the shop", {"tier": "front"})
    assert after.operation_id == wanted.operation_id
    assert "correct-horse" not in str(operation.arguments)
    # Its level is debug.
    assert "correct-horse" not in worker.log.read_text()
    with socket.create_connection(("127.0.0.1", first_port), timeout=5):
        pass


REFUSED: list[tuple[dict[str, Any], type[FleetError]]] = [
    ({"image": ImageSource(alias="no-such-image")}, ImageNotFound),
    ({"image": ImageSource(fingerprint="0" * 64)}, ImageNotFound),
    ({"image": ImageSource(alias="debian/12", remote="images")}, ImageNotFound),
    ({"memory": 1 << 50}, InsufficientResources),
    ({"disk": 1 << 60}, InsufficientResources),
    ({"network": "lo"}, InvalidInput),
    ({"ports": 91}, InsufficientResources),
    ({"type": "virtual-machine"}, InvalidInput),
]


@pytest.mark.usefixtures("worker")
def test_what_the_host_cannot_have_is_refused_before_lxd_hears_of_it(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.name("new")

    for wanted, error in REFUSED:
        with pytest.raises(error):
            bus.submit(creation(name, **wanted))

    assert bus.operations_since(0).operations == []


@pytest.mark.usefixtures("worker")
def test_a_name_that_is_taken_is_refused_and_so_is_one_that_will_be(
    bus: BusSide, instances: Instances
) -> None:
    taken = instances.create("taken")
    coming = creation(instances.name("coming"))

    with pytest.raises(InstanceExists):
        bus.submit(creation(taken))
    bus.submit(coming)
    with pytest.raises(InstanceExists):
        bus.submit(creation(coming.instance))

    assert bus.ended(coming.operation_id).state is State.DONE


@pytest.mark.usefixtures("worker")
def test_an_instance_that_does_not_start_is_taken_away_again(
    bus: BusSide, instances: Instances, lifecycle: Lifecycle, first_port: int
) -> None:
    name = instances.name("new")
    with socket.socket() as squatter:
        # Without listening it stands in no list of the kernel's.
        squatter.bind(("127.0.0.1", first_port))

        operation = bus.carry_out(creation(name, ssh=True, auto_start=True))

    assert operation.state is State.FAILED
    assert operation.failure is not None
    assert operation.failure.code == "lxd_refused"  # its words are not always the same
    assert operation.after is None
    assert instances.lxd.call("GET", "/1.0/instances").count(f"/1.0/instances/{name}") == 0
    assert lifecycle.of(name)[-1] == "deleted"


@pytest.mark.usefixtures("worker")
def test_instances_that_are_created_at_once_get_ports_of_their_own(
    bus: BusSide, instances: Instances, first_port: int
) -> None:
    wanted = [creation(instances.name(f"n{number}"), ssh=True, ports=5) for number in range(4)]

    calls = [bus.send("submit", to_wire(one)) for one in wanted]
    for call in calls:
        bus.answer(call)
    made = [bus.ended(one.operation_id).after for one in wanted]

    listens = [proxy.listen for one in made if one for proxy in one.proxies]
    assert sorted(listens) == sorted(
        [f"tcp:127.0.0.1:{first_port + number}" for number in range(4)]
        + [
            f"tcp:127.0.0.1:{first}-{first + 4}"
            for first in range(first_port + 10, first_port + 30, 5)
        ]
    )


@pytest.mark.usefixtures("worker")
def test_ports_are_free_again_when_their_instance_is_gone_whoever_deleted_it(
    bus: BusSide, instances: Instances
) -> None:
    first, second = creation(instances.name("a"), ssh=True), creation(instances.name("b"), ssh=True)
    bus.carry_out(first)

    instances.delete(first.instance)
    after = bus.carry_out(second).after

    assert after is not None
    assert [proxy.listen for proxy in after.proxies] == ssh_of(bus, first)


def ssh_of(bus: BusSide, wanted: Submission) -> list[str]:
    after = bus.ended(wanted.operation_id).after
    return [proxy.listen for proxy in after.proxies] if after else []


@pytest.mark.usefixtures("worker")
def test_an_instance_joins_a_bridge_that_lxd_does_not_manage(
    bus: BusSide, instances: Instances
) -> None:
    (bridge, *_) = (
        one["name"]
        for one in instances.lxd.call("GET", "/1.0/networks?recursion=1")
        if one["type"] == "bridge"
    )

    after = bus.carry_out(creation(instances.name("new"), network=bridge)).after

    assert after is not None
    assert after.networks == (bridge,)
