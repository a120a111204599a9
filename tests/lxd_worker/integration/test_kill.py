"""`kill -9` at every write of the journal, on a real LXD."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.contracts.codec import to_wire
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Kind, Operation, State
from tests.support.bus_side import BusSide, submission
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances, Lxd
from tests.support.worker_process import Prepare

SCRIPT = Path(__file__).with_name("killed_worker.py")
GONE = "gone"


@dataclass(frozen=True)
class Case:
    """A kind, how its instance stands before and when it is done, its writes and its events."""

    kind: Kind
    before: str
    asked: str
    writes: int
    events: list[str]
    arguments: dict[str, object] = field(default_factory=dict)


CASES = [
    Case(Kind.START, "Stopped", "Running", 4, ["started"]),
    Case(Kind.STOP, "Running", "Stopped", 4, ["shutdown"]),
    Case(Kind.RESTART, "Running", "Running", 4, ["restarted"], {"force": True}),
    Case(Kind.DELETE, "Running", GONE, 6, ["stopped", "deleted"], {"force": True}),
]
# One kind of one request and one of two are killed in every run, the others in `make test-all`.
OFTEN = (Kind.START, Kind.DELETE)
KILLS = [
    pytest.param(
        case,
        when,
        write,
        id=f"{case.kind}-{when}-{write}",
        marks=() if case.kind in OFTEN else pytest.mark.slow,
    )
    for case in CASES
    for write in range(1, case.writes + 1)
    for when in ("before", "after")
]


def state_of(instances: Instances, name: str) -> str:
    found = instances.lxd.call("GET", "/1.0/instances?recursion=1")
    return next((one["status"] for one in found if one["name"] == name), GONE)


@pytest.mark.parametrize(("case", "when", "write"), KILLS)
def test_after_kill_9_the_outcome_is_true_and_nothing_has_run_twice(
    case: Case,
    when: str,
    write: int,
    lxd: Lxd,
    instances: Instances,
    lifecycle: Lifecycle,
    bus: BusSide,
    prepare: Prepare,
) -> None:
    name = instances.launch() if case.before == "Running" else instances.create()
    uuid = lxd.uuid_of(name)
    order = submission(case.kind, name, uuid, arguments=case.arguments)
    so_far = len(lifecycle.of(name))
    doomed = prepare(lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), when, str(write)]
    doomed.start()
    bus.reach()

    bus.send("submit", to_wire(order))
    killed = doomed.wait()
    prepare(lxd.socket).start()
    bus.reach()
    outcome = outcome_of(bus, order.operation_id)

    done = lifecycle.of(name)[so_far:]
    assert killed == -signal.SIGKILL
    assert max(Counter(done).values(), default=0) <= 1
    assert_true(outcome, case, state_of(instances, name), done)


def test_an_outcome_is_told_again_when_nobody_noted_that_it_was_told(
    lxd: Lxd, instances: Instances, bus: BusSide, prepare: Prepare
) -> None:
    name = instances.create()
    uuid = lxd.uuid_of(name)
    order = submission(Kind.FREEZE, name, uuid)
    doomed = prepare(lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), "confirming", "1"]
    doomed.start()
    bus.reach()

    bus.send("submit", to_wire(order))
    doomed.wait()
    told = len(bus.of(OperationChanged))
    prepare(lxd.socket).start()

    bus.until(lambda: bus.of(OperationChanged)[told:])
    assert told > 0
    assert bus.ended(order.operation_id).state is State.FAILED


def outcome_of(bus: BusSide, operation_id: str) -> Operation | None:
    """Ask as a gateway that lost the answer does, and wait for the end if there is to be one."""
    if bus.resolve(operation_id) is None:
        return None
    return bus.ended(operation_id)


def assert_true(outcome: Operation | None, case: Case, state: str, done: list[str]) -> None:
    if outcome is None:
        assert (state, done) == (case.before, [])
    elif outcome.state is State.DONE:
        assert (state, done) == (case.asked, case.events)
    else:
        assert outcome.state is State.FAILED
        assert outcome.failure is not None
        assert outcome.failure.code == "step_interrupted"
        assert done == case.events[: len(done)] != case.events
