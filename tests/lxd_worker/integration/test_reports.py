"""What a real worker tells of a real LXD: inventories, changes behind our back, signs of life."""

from __future__ import annotations

import time

import pytest

from shared.contracts.events import (
    Heartbeat,
    InstanceChanged,
    InstanceRemoved,
    Inventory,
)
from tests.support.bus_side import BusSide
from tests.support.lxd import Instances, Lxd

pytestmark = pytest.mark.usefixtures("worker")

# Far below the minute between two full inventories.
PROMPT_S = 10.0


def told_status(bus: BusSide, name: str, status: str) -> InstanceChanged | None:
    told = [one for one in bus.of(InstanceChanged) if one.instance.name == name]
    return told[-1] if told and told[-1].instance.status == status else None


def numbers(bus: BusSide) -> list[int]:
    numbered = (Inventory, InstanceChanged, InstanceRemoved)
    return [event.sequence for event in bus.events if isinstance(event, numbered)]


def test_what_somebody_does_behind_our_back_is_told_by_its_event(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()
    bus.until(lambda: told_status(bus, name, "Running"))

    instances.set_state(name, "stop", force=True)
    change = bus.until(lambda: told_status(bus, name, "Stopped"), timeout_s=PROMPT_S)

    assert change.action == "instance-stopped"


@pytest.mark.parametrize(
    ("action", "status"), [("stop", "Stopped"), ("freeze", "Frozen"), ("restart", "Running")]
)
def test_a_change_is_told_with_the_status_it_led_to(
    bus: BusSide, instances: Instances, action: str, status: str
) -> None:
    name = instances.launch()
    bus.until(lambda: told_status(bus, name, "Running"))

    instances.set_state(name, action)

    bus.until(lambda: told_status(bus, name, status), timeout_s=PROMPT_S)


def test_a_changed_setting_is_told(bus: BusSide, instances: Instances) -> None:
    name = instances.create()

    settings = {"limits.memory": "256MiB", "limits.cpu": "1", "user.ssh_port": "2201"}
    instances.lxd.call("PATCH", f"/1.0/instances/{name}", {"config": settings})

    change = bus.until(
        lambda: next(
            (
                one.instance
                for one in bus.of(InstanceChanged)
                if one.instance.name == name and one.instance.cpu_limit
            ),
            None,
        ),
        timeout_s=PROMPT_S,
    )
    assert (change.memory_limit, change.cpu_limit) == (256 * 1024**2, "1")
    assert change.user == {"ssh_port": "2201"}


def test_a_deleted_instance_is_told_as_removed(bus: BusSide, instances: Instances) -> None:
    name = instances.create()
    instances.delete(name)

    removal = bus.until(
        lambda: next((one for one in bus.of(InstanceRemoved) if one.name == name), None),
        timeout_s=PROMPT_S,
    )

    told = [one.instance.revision for one in bus.of(InstanceChanged) if one.instance.name == name]
    assert all(removal.revision > revision for revision in told)


def test_a_renamed_instance_is_told_as_removed_and_there(
    bus: BusSide, instances: Instances
) -> None:
    old, new = instances.create("old"), instances.name("new")

    instances.lxd.call("POST", f"/1.0/instances/{old}", {"name": new})

    bus.until(lambda: told_status(bus, new, "Stopped"), timeout_s=PROMPT_S)
    assert old in [one.name for one in bus.of(InstanceRemoved)]


def test_the_events_are_numbered_without_a_gap_in_the_order_of_the_wire(
    bus: BusSide, instances: Instances
) -> None:
    for name in ("a", "b", "c"):
        instances.launch(name)

    bus.call("publish_inventory")
    bus.until(lambda: bus.of(Inventory)[1:])

    assert numbers(bus) == list(range(1, len(numbers(bus)) + 1))


def test_an_inventory_comes_when_it_is_asked_for_and_holds_what_lxd_holds(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch(description="mail 20001 secret", config={"user.nat_ports": "1-9"})
    known = len(bus.of(Inventory))

    bus.call("publish_inventory")

    inventory = bus.until(lambda: bus.of(Inventory)[known:])[-1]
    (found,) = [one for one in inventory.instances if one.name == name]
    assert (found.status, found.description) == ("Running", "mail 20001 secret")
    assert (found.user, found.profiles) == ({"nat_ports": "1-9"}, ("default",))


def test_a_heartbeat_tells_who_the_daemon_is(bus: BusSide, lxd: Lxd) -> None:
    about = lxd.call("GET", "/1.0")["environment"]

    beat = bus.of(Heartbeat)[-1]

    assert beat.fingerprint == about["certificate_fingerprint"]
    assert (beat.lxd, beat.server_name) == (about["server_version"], about["server_name"])
    assert abs(float(beat.clock) - time.time()) < 5.0
