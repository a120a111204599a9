"""How many requests LXD gets for an operation: each costs the caller time, and LXD more."""

from __future__ import annotations

import re

import pytest

from shared.contracts.events import Heartbeat, InstanceChanged
from shared.contracts.operations import Kind, State
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.bus_side import BusSide, submission
from tests.support.lxd import Instances, Lxd
from tests.support.worker_process import WorkerProcess

READ = "GET instances/NAME"
READ_STATE = "GET instances/NAME/state"
CHANGE = "PUT instances/NAME/state"
WAIT = "GET operations/ID/wait"

# By the status before and the kind of the operation.
REQUESTS = [
    ("Stopped", Kind.START, [READ, CHANGE, WAIT, READ]),
    ("Running", Kind.STOP, [READ, READ_STATE, CHANGE, WAIT, READ]),
    ("Running", Kind.RESTART, [READ, READ_STATE, CHANGE, WAIT, READ, READ_STATE]),
    ("Running", Kind.FREEZE, [READ, READ_STATE, CHANGE, WAIT, READ]),
    ("Frozen", Kind.UNFREEZE, [READ, READ_STATE, CHANGE, WAIT, READ]),
    ("Running", Kind.START, [READ, READ]),
]

# On a busy machine LXD's event may come so late that it is read for itself.
ATTEMPTS = 4

ACTIONS = {"Stopped": [], "Running": ["start"], "Frozen": ["start", "freeze"]}


@pytest.fixture
def settings() -> dict[str, str]:
    return {"FLEET_LOG_LEVEL": "debug"}


@pytest.fixture
def web(double: LxdDouble) -> str:
    """The uuid of an instance that is there before the worker is."""
    return double.add(DoubledInstance("web")).config["volatile.uuid"]


def requests_of(worker: WorkerProcess, name: str) -> list[str]:
    """Return the worker's requests about an instance, or about LXD's operations on it."""
    asked = [f"{line['method']} {line['path']}" for line in worker.logged("lxd asked")]
    operation = re.compile("operations/[0-9a-f-]{36}")
    named = [operation.sub("operations/ID", one.replace(name, "NAME")) for one in asked]
    return [one for one in named if "/NAME" in one or "/ID" in one]


def requests_for(
    bus: BusSide, worker: WorkerProcess, kind: Kind, name: str, uuid: str
) -> list[str]:
    """Carry an operation out; return the worker's requests until the fleet knows all about it."""
    # What has happened to the instance before is reported by then.
    bus.receive(0.5)
    before, reported = len(requests_of(worker, name)), len(bus.of(InstanceChanged))
    operation = bus.carry_out(submission(kind, name, uuid, arguments={"stop_timeout_s": 5.0}))
    assert operation.state is State.DONE
    if operation.changed:
        after = operation.after
        assert after is not None

        def is_reported() -> bool:
            changes = bus.of(InstanceChanged)[reported:]
            return any(each.instance.status == after.status for each in changes)

        bus.until(is_reported)
    # Longer than an event is held.
    bus.receive(0.3)
    return requests_of(worker, name)[before:]


@pytest.mark.parametrize(("status", "kind", "requests"), REQUESTS)
def test_no_more_is_asked_than_an_operation_needs(
    double: LxdDouble,
    web: str,
    bus: BusSide,
    worker_on_double: WorkerProcess,
    status: str,
    kind: Kind,
    requests: list[str],
) -> None:
    for action in ACTIONS[status]:
        double.change_state("web", action)
    bus.until(lambda: [one for one in bus.of(Heartbeat) if one.lxd_connected])

    assert requests_for(bus, worker_on_double, kind, "web", web) == requests


@pytest.mark.parametrize(("status", "kind", "requests"), REQUESTS)
def test_no_more_is_asked_of_a_real_one(
    lxd: Lxd,
    instances: Instances,
    bus: BusSide,
    worker: WorkerProcess,
    status: str,
    kind: Kind,
    requests: list[str],
) -> None:
    asked: list[str] = []
    for _ in range(ATTEMPTS):
        name = instances.create()
        for action in ACTIONS[status]:
            instances.set_state(name, action)
        asked = requests_for(bus, worker, kind, name, lxd.uuid_of(name))
        if asked == requests:
            break

    assert asked == requests
