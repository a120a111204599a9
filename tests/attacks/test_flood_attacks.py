"""What a host that is taken over can fill: its own budget, and nothing beyond it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import amqp
import pytest
from amqp.exceptions import MessageNacked

from services.gateway.fleet.memory_budget import DEFAULT
from shared.contracts.codec import encode
from shared.contracts.events import Event, OperationChanged
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Failure, Kind, State
from tests.support.builders import a_change, an_instance, an_inventory, an_operation

from .conftest import AFTER_A_FLOOD_S, ATTACKER, NEIGHBOUR, Attacker, Scene

pytestmark = pytest.mark.attack

MIB = 2**20
# As large as an instance may be in an event: nearly 128 KiB.
LARGE = {str(number): "x" * 8000 for number in range(15)}


def tell_all(attacker: Attacker, key: str, events: Iterable[Event]) -> None:
    """Publish events one after the other on one connection; what is refused comes again."""
    channel = attacker.channel()
    for event in events:
        message = amqp.Message(encode(event), content_type="application/json", delivery_mode=2)
        while not is_taken(channel, message, attacker.exchange, f"{ATTACKER}.{key}"):
            time.sleep(0.1)


def is_taken(channel: Any, message: amqp.Message, exchange: str, key: str) -> bool:
    """Publish; return whether the queue had room for it."""
    try:
        channel.basic_publish_confirm(message, exchange, key, timeout=10)
    except MessageNacked:
        return False
    return True


def is_stored(scene: Scene, operation_id: str) -> bool:
    return scene.http.get(f"/api/operations/{operation_id}").status_code == 200


def left_out(scene: Scene) -> int:
    told = scene.http.get(f"/api/hosts/{ATTACKER}").json()
    return int(told["left_out"]["instances"])


def test_large_instances_are_held_up_to_the_budget_of_their_host(
    scene: Scene, attacker: Attacker
) -> None:
    before = scene.resident_bytes()
    attacker.tell("worker.inventory", an_inventory(epoch=attacker.epoch))

    vms = [an_instance(f"vm-{number}", user=LARGE) for number in range(300)]
    told = (a_change(vm, epoch=attacker.epoch, sequence=n) for n, vm in enumerate(vms, 2))
    tell_all(attacker, "worker.instance-changed", told)

    scene.until(lambda: left_out(scene) > 100, within_s=AFTER_A_FLOOD_S)
    scene.assert_unharmed()
    held = scene.http.get(f"/api/hosts/{ATTACKER}").json()["instances"]
    assert held * len(encode(vms[0])) <= DEFAULT.size
    assert scene.resident_bytes() - before < 200 * MIB


def test_operations_that_a_host_makes_up_crowd_nobody_out(scene: Scene, attacker: Attacker) -> None:
    before = scene.resident_bytes()
    failure = Failure(code="lxd_refused", values=["x" * 8000] * 16)

    made_up = (
        an_operation(
            f"made-up-{number}",
            host=ATTACKER,
            state=State.FAILED,
            sequence=number + 1,
            failure=failure,
            created_at="9999-01-01T00:00:00Z",
        )
        for number in range(300)
    )
    tell_all(attacker, "worker.operation", (OperationChanged(operation=each) for each in made_up))

    scene.assert_unharmed()
    scene.until(lambda: is_stored(scene, "made-up-299"), within_s=30)
    assert scene.resident_bytes() - before < 200 * MIB
    # What is made up is dated when it comes, and some of it is still to come.
    scene.until(lambda: neighbours_is_newest(scene), within_s=30)


def neighbours_is_newest(scene: Scene) -> bool:
    """Return whether the operation that the neighbour has ended last is the first of the list."""
    scene.assert_unharmed()
    (newest,) = scene.http.get("/api/operations", params={"limit": 1}).json()
    return bool(newest["host"] == NEIGHBOUR)


def test_a_creation_that_a_host_makes_up_hides_nothing(scene: Scene, attacker: Attacker) -> None:
    made_up = an_operation(
        "made-up",
        host=ATTACKER,
        kind=Kind.CREATE,
        uuid=f"uuid-web-on-{NEIGHBOUR}",
        arguments=Arguments(create=NewInstance(image=ImageSource(), cpu=1, memory=1, disk=1)),
    )

    attacker.tell("worker.operation", OperationChanged(operation=made_up))

    scene.assert_unharmed()
    page = scene.http.get("/api/v1/vms", params={"host": NEIGHBOUR}).json()["data"]
    assert [each["host"] for each in page["vms"]] == [NEIGHBOUR]
