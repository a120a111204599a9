"""`kill -9` around the moment in which a change of an instance reaches a real LXD."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.codec import to_wire
from shared.contracts.instance_config import Changes
from shared.contracts.operations import Kind, State
from tests.support.bus_side import BusSide, submission
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances
from tests.support.worker_process import Prepare

SCRIPT = Path(__file__).with_name("killed_worker.py")
# The writes of the journal: accepted, begun, handed over, ended.
NOT_ASKED, ASKED = ("after", 2), ("before", 3)


@dataclass(frozen=True)
class Case:
    """A change of a container with a note that its snapshot `old` lacks; how to see it made."""

    kind: Kind
    arguments: dict[str, object]
    is_made: Callable[[dict[str, Any]], bool]
    running: bool = False


CASES = [
    Case(
        Kind.UPDATE,
        {"changes": Changes(labels={"tier": "front"})},
        lambda found: "user.lxdfleet.label.tier" in found["config"],
    ),
    Case(
        Kind.RENAME,
        {"new_name": "NAME-2", "display_name": "Two"},
        lambda found: found["config"].get("user.lxdfleet.name") == "Two",
    ),
    Case(Kind.SNAPSHOT, {"snapshot": "new"}, lambda found: len(found["snapshots"]) == 2),
    Case(
        Kind.RESTORE,
        {"snapshot": "old"},
        lambda found: "user.note" not in found["config"],
        running=True,
    ),
    Case(Kind.DELETE_SNAPSHOT, {"snapshot": "old"}, lambda found: not found["snapshots"]),
]

KILLS = [pytest.param(case, ASKED, id=f"{case.kind}-asked") for case in CASES] + [
    pytest.param(case, NOT_ASKED, id=f"{case.kind}-not-asked")
    for case in CASES
    if case.kind in (Kind.UPDATE, Kind.RESTORE)
]


def found(instances: Instances, name: str) -> dict[str, Any]:
    listed = instances.lxd.call("GET", "/1.0/instances?recursion=2")
    return next(one for one in listed if one["name"] in (name, f"{name}-2"))


@pytest.mark.parametrize(("case", "kill"), KILLS)
def test_after_kill_9_the_outcome_is_true_and_nothing_has_run_twice(
    case: Case,
    kill: tuple[str, int],
    instances: Instances,
    lifecycle: Lifecycle,
    bus: BusSide,
    prepare: Prepare,
) -> None:
    name = instances.launch() if case.running else instances.create()
    instances.lxd.call("POST", f"/1.0/instances/{name}/snapshots", {"name": "old"})
    instances.lxd.call("PATCH", f"/1.0/instances/{name}", {"config": {"user.note": "x"}})
    uuid = found(instances, name)["config"]["volatile.uuid"]
    arguments = {
        key: f"{name}-2" if value == "NAME-2" else value for key, value in case.arguments.items()
    }
    order = submission(case.kind, name, uuid, arguments=arguments)
    so_far = len(lifecycle.of(name))
    doomed = prepare(instances.lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), kill[0], str(kill[1])]
    doomed.start()
    bus.reach()

    bus.send("submit", to_wire(order))
    killed = doomed.wait()
    prepare(instances.lxd.socket).start()
    outcome = bus.ended(order.operation_id)

    assert killed == -signal.SIGKILL
    assert max(Counter(lifecycle.of(name)[so_far:]).values(), default=0) <= 1
    asked = kill == ASKED
    assert outcome.state is (State.DONE if asked else State.FAILED)
    assert case.is_made(found(instances, name)) is asked
