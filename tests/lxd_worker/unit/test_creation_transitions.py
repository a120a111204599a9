"""Which step of a creation is next, as tables."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.next_step import abort, decide
from services.lxd_worker.transitions.step_verdict import Verdict, judge_creation
from services.lxd_worker.transitions.steps import Done, Failed, Situation, Step, Undo
from shared.contracts.errors import (
    InstanceExists,
    InstanceNotFound,
    LxdRefused,
    StepInterrupted,
    StepTimedOut,
)
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Kind
from tests.support.lxd_worker.observations import observation

NEW = NewInstance(image=ImageSource(alias="busybox"), cpu=1, memory=1, disk=1)
REFUSED = LxdRefused("no")
CREATED, STARTED = (Step.CREATE,), (Step.CREATE, Step.START)
STOPPED, RUNNING = observation("Stopped"), observation("Running")


def situation(now: Observation | None, *, auto_start: bool = True, **more: Any) -> Situation:
    new = NewInstance(image=NEW.image, cpu=1, memory=1, disk=1, auto_start=auto_start)
    return Situation(name="web", arguments=Arguments(create=new), now=now, **more)


def move(now: Observation | None, **more: Any) -> object:
    found = decide(Kind.CREATE, situation(now, **more))
    return type(found.error) if isinstance(found, Failed) else found


@pytest.mark.parametrize(
    ("now", "more", "expected"),
    [
        (None, {}, Step.CREATE),
        (None, {"replaced": True}, InstanceExists),
        (STOPPED, {}, InstanceExists),
        (STOPPED, {"taken": CREATED}, Step.START),
        (STOPPED, {"taken": CREATED, "auto_start": False}, Done(changed=True)),
        (RUNNING, {"taken": CREATED}, Done(changed=True)),
        (RUNNING, {"taken": STARTED}, Done(changed=True)),
        (STOPPED, {"taken": STARTED}, Done(changed=True)),
        (RUNNING, {"taken": STARTED, "error": REFUSED}, Done(changed=True)),
        (None, {"taken": CREATED}, InstanceNotFound),
    ],
)
def test_an_instance_is_made_and_then_started_if_it_shall_be(
    now: Observation | None, more: dict[str, Any], expected: object
) -> None:
    assert move(now, **more) == expected


@pytest.mark.parametrize(
    ("now", "more", "expected"),
    [
        (None, {"taken": CREATED, "error": REFUSED}, LxdRefused),
        (None, {"taken": CREATED, "error": REFUSED, "replaced": True}, InstanceExists),
        (STOPPED, {"taken": CREATED, "error": REFUSED}, Undo(Step.DELETE, REFUSED)),
        (STOPPED, {"taken": STARTED, "error": REFUSED}, Undo(Step.DELETE, REFUSED)),
        (
            observation("Frozen"),
            {"taken": CREATED, "error": REFUSED},
            Undo(Step.FORCE_STOP, REFUSED),
        ),
        (
            STOPPED,
            {"taken": (*STARTED, Step.FORCE_STOP), "cause": REFUSED},
            Undo(Step.DELETE, REFUSED),
        ),
        (None, {"taken": (*STARTED, Step.DELETE), "cause": REFUSED}, LxdRefused),
        (
            STOPPED,
            {
                "taken": (*STARTED, Step.DELETE),
                "cause": REFUSED,
                "error": StepInterrupted("delete"),
            },
            LxdRefused,
        ),
    ],
)
def test_after_a_failure_what_was_made_is_taken_away(
    now: Observation | None, more: dict[str, Any], expected: object
) -> None:
    assert move(now, **more) == expected


def test_out_of_time_it_is_taken_away_too() -> None:
    late = StepTimedOut("create")

    found = abort(Kind.CREATE, situation(STOPPED, taken=CREATED), late)

    assert found == Undo(Step.DELETE, late)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (None, Verdict.NOT_DONE),
        (observation("Stopped"), Verdict.DONE),
        (observation("Running"), Verdict.DONE),
        (observation("Stopped", complete=False), Verdict.NOT_DONE),
    ],
)
def test_an_instance_counts_as_made_when_it_is_complete(
    now: Observation | None, expected: Verdict
) -> None:
    assert judge_creation(now) == expected


def test_no_step_of_a_creation_is_taken_twice() -> None:
    looks = [None, *map(observation, ("Running", "Stopped", "Frozen", "Error"))]
    open_ones: list[tuple[Step, ...]] = [()]
    reached = set(open_ones)

    while open_ones:
        taken = open_ones.pop()
        for now, error, cause in product(looks, (None, REFUSED), (None, REFUSED)):
            found = decide(Kind.CREATE, situation(now, taken=taken, error=error, cause=cause))
            step = found.step if isinstance(found, Undo) else found
            if isinstance(step, Step):
                assert step not in taken
                if (*taken, step) not in reached:
                    reached.add((*taken, step))
                    open_ones.append((*taken, step))
