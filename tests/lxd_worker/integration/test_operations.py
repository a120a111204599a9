"""Each kind of operation on a real container, from a call on the real bus to LXD and back."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from shared.contracts.codec import to_wire
from shared.contracts.errors import (
    FleetError,
    InstanceNotFound,
    InstanceReplaced,
    InvalidInput,
    OperationExpired,
    OperationInProgress,
    OperationNotCancellable,
    OperationRefused,
    UnreadableMessage,
)
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Kind, Operation, State
from tests.support.bus_side import BusSide, submission
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances
from tests.support.worker_process import WorkerProcess

from .conftest import carried_out, module_fixtures, order

pytestmark = pytest.mark.usefixtures("worker")

# A guest that does not react when it is asked to stop.
DEAF = {"raw.lxc": "lxc.signal.halt = SIGCONT\nlxc.signal.reboot = SIGCONT"}


vhost, worker = module_fixtures()


def outcome(operation: Operation) -> tuple[State, bool, str | None]:
    return operation.state, operation.changed, operation.failure and operation.failure.code


def in_state(instances: Instances, status: str) -> str:
    name = instances.create() if status == "Stopped" else instances.launch()
    if status == "Frozen":
        instances.set_state(name, "freeze")
    return name


@pytest.mark.parametrize(
    ("before", "kind", "arguments", "events", "after"),
    [
        ("Stopped", Kind.START, {}, ["started"], "Running"),
        ("Running", Kind.STOP, {}, ["shutdown"], "Stopped"),
        ("Running", Kind.STOP, {"force": True}, ["stopped"], "Stopped"),
        ("Frozen", Kind.STOP, {}, ["resumed", "shutdown"], "Stopped"),
        ("Frozen", Kind.STOP, {"force": True}, ["stopped"], "Stopped"),
        ("Running", Kind.RESTART, {}, ["restarted"], "Running"),
        ("Frozen", Kind.RESTART, {"force": True}, ["restarted"], "Running"),
        ("Running", Kind.FREEZE, {}, ["paused"], "Frozen"),
        ("Frozen", Kind.UNFREEZE, {}, ["resumed"], "Running"),
    ],
)
def test_an_instance_becomes_what_was_asked(
    bus: BusSide,
    instances: Instances,
    lifecycle: Lifecycle,
    before: str,
    kind: Kind,
    arguments: dict[str, object],
    events: list[str],
    after: str,
) -> None:
    name = in_state(instances, before)
    so_far = len(lifecycle.of(name))

    operation = carried_out(bus, instances, kind, name, **arguments)

    assert outcome(operation) == (State.DONE, True, None)
    assert operation.after is not None
    assert operation.after.status == instances.status(name) == after
    assert lifecycle.of(name)[so_far:] == events


@pytest.mark.parametrize(
    ("before", "kind", "expected"),
    [
        ("Running", Kind.START, (State.DONE, False, None)),
        ("Stopped", Kind.STOP, (State.DONE, False, None)),
        ("Frozen", Kind.FREEZE, (State.DONE, False, None)),
        ("Running", Kind.UNFREEZE, (State.DONE, False, None)),
        ("Frozen", Kind.START, (State.FAILED, False, "instance_running")),
        ("Stopped", Kind.RESTART, (State.FAILED, False, "instance_not_running")),
        ("Stopped", Kind.FREEZE, (State.FAILED, False, "instance_not_running")),
        ("Stopped", Kind.UNFREEZE, (State.FAILED, False, "instance_not_frozen")),
        ("Running", Kind.DELETE, (State.FAILED, False, "instance_running")),
    ],
)
def test_what_is_so_already_or_cannot_be_leaves_the_instance_alone(
    bus: BusSide,
    instances: Instances,
    lifecycle: Lifecycle,
    before: str,
    kind: Kind,
    expected: tuple[State, bool, str | None],
) -> None:
    name = in_state(instances, before)
    so_far = len(lifecycle.of(name))

    operation = carried_out(bus, instances, kind, name)

    assert outcome(operation) == expected
    assert instances.status(name) == before
    assert lifecycle.of(name)[so_far:] == []


@pytest.mark.parametrize("force", [True, False])
def test_a_deleted_instance_is_gone(bus: BusSide, instances: Instances, force: bool) -> None:
    name = in_state(instances, "Running" if force else "Stopped")

    operation = carried_out(bus, instances, Kind.DELETE, name, force=force)

    assert outcome(operation) == (State.DONE, True, None)
    assert operation.after is None
    assert f"/1.0/instances/{name}" not in instances.lxd.call("GET", "/1.0/instances")


@pytest.mark.parametrize(
    ("kind", "steps", "after"),
    [
        (Kind.STOP, ["stop", "force-stop"], "Stopped"),
        (Kind.RESTART, ["restart", "force-restart"], "Running"),
    ],
)
def test_a_guest_that_does_not_listen_is_stopped_by_force(
    bus: BusSide, instances: Instances, kind: Kind, steps: list[str], after: str
) -> None:
    name = instances.launch(config=DEAF)

    operation = carried_out(bus, instances, kind, name, stop_timeout_s=1.0)

    told = [one.operation.step for one in bus.of(OperationChanged)]
    assert outcome(operation) == (State.DONE, True, None)
    assert instances.status(name) == after
    assert [step for step in steps if step in told] == steps


@pytest.mark.parametrize("force", [True, False])
def test_an_ephemeral_instance_is_gone_when_it_has_stopped(
    bus: BusSide, instances: Instances, *, force: bool
) -> None:
    name = instances.launch(ephemeral=True)

    operation = carried_out(bus, instances, Kind.STOP, name, force=force)

    assert outcome(operation) == (State.DONE, True, None)
    assert operation.gone
    assert operation.after is None


def test_why_an_ephemeral_instance_did_not_start_is_told(
    bus: BusSide, instances: Instances
) -> None:
    broken = {"raw.lxc": "lxc.mount.entry = /nowhere mnt none bind 0 0"}
    name = instances.create(ephemeral=True, config=broken)

    operation = carried_out(bus, instances, Kind.START, name)

    assert outcome(operation) == (State.FAILED, True, "lxd_refused")


def test_the_same_order_delivered_twice_at_once_runs_once(
    bus: BusSide, instances: Instances, lifecycle: Lifecycle
) -> None:
    name = instances.launch()
    wanted = order(instances, Kind.RESTART, name, force=True)

    answers = [bus.answer(call) for call in [bus.send("submit", to_wire(wanted)) for _ in range(5)]]
    bus.ended(wanted.operation_id)

    assert {answer["operation_id"] for answer in answers} == {wanted.operation_id}
    assert Counter(lifecycle.of(name))["restarted"] == 1


def test_two_orders_for_one_instance_at_once_are_one_operation_and_one_refusal(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()
    orders = [order(instances, Kind.RESTART, name, force=True) for _ in range(2)]

    calls = [bus.send("submit", to_wire(one)) for one in orders]
    answers = [answer_or_refusal(bus, call) for call in calls]

    (accepted,) = [one["operation_id"] for one in answers if isinstance(one, dict)]
    (refusal,) = [one for one in answers if isinstance(one, OperationInProgress)]
    assert refusal.operation_id == accepted
    assert bus.ended(accepted).state is State.DONE


def answer_or_refusal(bus: BusSide, call_id: str) -> Any:
    try:
        return bus.answer(call_id)
    except OperationInProgress as refusal:
        return refusal


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"instance": "no-such-thing"}, InstanceNotFound),
        ({"uuid_": str(uuid.UUID(int=7))}, InstanceReplaced),
        ({"start_by": "1000.0"}, OperationExpired),
        ({"host": "h2"}, InvalidInput),
        ({"instance": "../../1.0"}, UnreadableMessage),
        ({"instance": "1-no-name"}, InvalidInput),
    ],
)
def test_a_wrong_order_is_refused_and_starts_nothing(
    bus: BusSide, instances: Instances, changes: dict[str, Any], error: type[FleetError]
) -> None:
    name = instances.create()
    right = order(instances, Kind.START, name)
    before = bus.operations_since(0)
    wrong = submission(**{"kind": Kind.START, "instance": name, "uuid_": right.uuid} | changes)

    with pytest.raises(error):
        bus.submit(wrong)

    assert instances.status(name) == "Stopped"
    assert bus.operations_since(0) == before


def test_an_id_resolved_before_it_came_never_starts(bus: BusSide, instances: Instances) -> None:
    name = instances.create()
    wanted = order(instances, Kind.START, name)

    resolved = bus.resolve(wanted.operation_id)

    with pytest.raises(OperationRefused):
        bus.submit(wanted)
    assert resolved is None
    assert instances.status(name) == "Stopped"


def test_a_request_that_lxd_cannot_interrupt_is_not_cancelled(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch(config=DEAF)
    wanted = order(instances, Kind.STOP, name, stop_timeout_s=2.0)
    bus.submit(wanted)
    bus.until(lambda: [one for one in bus.of(OperationChanged) if one.operation.step])

    with pytest.raises(OperationNotCancellable):
        bus.call("cancel", wanted.operation_id)

    assert bus.ended(wanted.operation_id).state is State.DONE


def test_an_operation_that_takes_too_long_is_overdue_until_it_truly_ends(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch(config=DEAF)
    found = instances.lxd.uuid_of(name)
    wanted = submission(Kind.STOP, name, found, timeout_s=1.0, arguments={"stop_timeout_s": 4.0})

    bus.submit(wanted)
    operation = bus.ended(wanted.operation_id)

    told = [one.operation for one in bus.of(OperationChanged)]
    assert any(one.overdue and one.state is State.RUNNING for one in told)
    assert outcome(operation) == (State.FAILED, True, "step_timed_out")
    assert instances.status(name) == "Running"


def test_the_correlation_id_reaches_the_request_to_lxd(
    bus: BusSide, instances: Instances, worker: WorkerProcess
) -> None:
    name = instances.create()
    found = instances.lxd.uuid_of(name)
    wanted = submission(Kind.START, name, found, correlation_id="asked-by-a-test")

    bus.submit(wanted)
    bus.ended(wanted.operation_id)

    path = f"instances/{name}/state"
    lines = [line for line in worker.logged("lxd asked") if line["path"] == path]
    (asked,) = [line for line in lines if line["method"] == "PUT"]
    assert asked["correlation_id"] == "asked-by-a-test"
