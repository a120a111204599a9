"""Creations that take their time, or break: a real worker and journal on the double of LXD."""

from __future__ import annotations

import pytest

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.errors import InsufficientResources
from shared.contracts.events import OperationChanged
from shared.contracts.instance_config import ImageSource
from shared.contracts.operations import Kind, Operation, State
from tests.lxd_double import LxdDouble
from tests.support.bus_side import BusSide, creation, submission
from tests.support.worker_process import Prepare, WorkerProcess


@pytest.fixture
def settings() -> dict[str, str]:
    return {
        "FLEET_NAT_ADDRESS": "127.0.0.1",
        "FLEET_NAT_SSH_PORTS": "8201-8220",
        "FLEET_NAT_PORTS": "8300-8399",
    }


@pytest.mark.usefixtures("worker_on_double")
def test_operations_behind_a_creation_run_in_their_order_when_it_has_ended(
    bus: BusSide, double: LxdDouble
) -> None:
    double.faults.duration_s["create"] = 1.0
    new = creation("new")
    behind = [
        submission(kind, "new", new.uuid) for kind in (Kind.START, Kind.FREEZE, Kind.UNFREEZE)
    ]

    bus.submit(new)
    accepted = [bus.submit(one) for one in behind]
    ends = [bus.ended(one.operation_id) for one in (new, *behind)]

    assert [one.waits_for for one in accepted] == [new.operation_id] * 3
    assert [one.state for one in ends] == [State.DONE] * 4
    finished = [one.finished_at for one in ends]
    assert finished == sorted(finished)


def test_what_waits_is_begun_by_the_next_worker_after_kill_9(
    bus: BusSide, double: LxdDouble, prepare: Prepare, worker_on_double: WorkerProcess
) -> None:
    double.faults.duration_s["create"] = 2.0
    new = creation("new")
    start = submission(Kind.START, "new", new.uuid)
    bus.submit(new)
    bus.submit(start)

    worker_on_double.kill()
    prepare(double.socket).start()

    assert bus.ended(new.operation_id).state is State.DONE
    assert bus.ended(start.operation_id).state is State.DONE
    assert double.instance("new").status == "Running"


@pytest.mark.usefixtures("worker_on_double")
def test_how_far_lxd_is_is_told_while_it_works(bus: BusSide, double: LxdDouble) -> None:
    double.faults.duration_s["create"] = 2.4
    new = creation("new")

    bus.submit(new)
    bus.ended(new.operation_id)

    told = [one.operation for one in bus.of(OperationChanged)]
    so_far = [one.progress for one in told if one.progress is not None]
    assert so_far == sorted(so_far)
    assert so_far[0] < so_far[-1] == 100


@pytest.mark.usefixtures("worker_on_double")
def test_what_lxd_was_killed_at_is_taken_away_when_it_is_back(
    bus: BusSide, double: LxdDouble
) -> None:
    double.faults.duration_s["create"] = 60.0
    new = creation("new")
    start = submission(Kind.START, "new", new.uuid)
    bus.submit(new)
    bus.until(lambda: "new" in double.names())
    bus.submit(start)

    double.go_away()
    double.come_back()
    made, behind = bus.ended(new.operation_id), bus.ended(start.operation_id)

    assert (made.state, made.failure and made.failure.code) == (
        State.FAILED,
        "step_interrupted",
    )
    assert behind.failure is not None
    assert behind.failure.code == "instance_not_found"
    assert double.names() == set()


@pytest.mark.usefixtures("worker_on_double")
def test_a_creation_that_breaks_in_the_middle_leaves_nothing_behind(
    bus: BusSide, double: LxdDouble
) -> None:
    double.faults.breaks["create"] = "disk quota exceeded"
    new = creation("new")

    bus.submit(new)
    ended = bus.ended(new.operation_id)

    assert ended.failure is not None
    assert (ended.state, ended.failure.values) == (State.FAILED, ["disk quota exceeded"])
    assert double.names() == set()


@pytest.mark.usefixtures("worker_on_double")
def test_a_virtual_machine_is_made_of_an_image_for_one(bus: BusSide, double: LxdDouble) -> None:
    image = ImageSource(alias="busybox-vm")
    new = creation("new", image=image, type="virtual-machine", auto_start=True)

    bus.submit(new)
    ended = bus.ended(new.operation_id)

    assert ended.after is not None
    assert (ended.after.type, ended.after.status) == ("virtual-machine", "Running")


@pytest.mark.usefixtures("worker_on_double")
def test_of_many_orders_at_once_none_gets_what_another_one_has(
    bus: BusSide, double: LxdDouble
) -> None:
    double.faults.duration_s["create"] = 0.2
    wanted = [creation(f"new-{number}", ssh=True, ports=5) for number in range(20)]

    calls = [bus.send("submit", to_wire(one)) for one in wanted]
    for call in calls:
        assert from_wire(Operation, bus.answer(call)).state is State.ACCEPTED
    made = [bus.ended(one.operation_id).after for one in wanted]

    listens = [proxy.listen for one in made if one for proxy in one.proxies]
    assert len(listens) == len(set(listens)) == 40
    with pytest.raises(InsufficientResources):
        bus.submit(creation("late", ssh=True))
