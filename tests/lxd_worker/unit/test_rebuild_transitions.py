"""Which step of a rebuild or a revert is next, as tables of where the two roots stand."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.next_step import abort, decide
from services.lxd_worker.transitions.rebuild import MOST_TRIES, judge_swap
from services.lxd_worker.transitions.step_verdict import Verdict
from services.lxd_worker.transitions.steps import (
    Done,
    Failed,
    RootSwap,
    Situation,
    Step,
    Stuck,
    Undo,
)
from shared.contracts.errors import (
    Cancelled,
    InstanceNotFound,
    InvalidInput,
    LxdBusy,
    LxdRefused,
    NoEffect,
    StepInterrupted,
    StepTimedOut,
    TrashNotFound,
)
from shared.contracts.operations import Arguments, Kind
from tests.support.lxd_worker.observations import observation

NAME, BESIDE, TRASH = "web", "new-1-web", "trash-1-web"
NO = LxdRefused("no")
BUILT = (Step.BUILD,)


def root(name: str, status: str = "Stopped", parked_as: str = "", **more: Any) -> Observation:
    return replace(observation(status), name=name, parked_as=parked_as, **more)


OLD = root(NAME, "Running")
STOPPED = root(NAME)
LET_GO = root(NAME, parked_as=TRASH)
AWAY = root(TRASH, parked_as=TRASH)
MADE = root(BESIDE, parked_as=BESIDE, root="op")
PLACED = root(NAME, parked_as=BESIDE, root="op")
ATTACHED = root(NAME, root="op")
RUNS = root(NAME, "Running", root="op")


def situation(old: Observation | None, new: Observation | None, **more: Any) -> Situation:
    fields: dict[str, Any] = {"first": OLD, "taken": BUILT} | more
    swap = RootSwap(name=NAME, beside=BESIDE, trash=TRASH, old=old, new=new)
    arguments = Arguments(force=fields.pop("force", False))
    return Situation(name=NAME, arguments=arguments, now=None, swap=swap, **fields)


def move(kind: Kind, old: Observation | None, new: Observation | None, **more: Any) -> object:
    found = decide(kind, situation(old, new, **more))
    return type(found.error) if isinstance(found, Failed) else found


@pytest.mark.parametrize(
    ("old", "new", "more", "expected"),
    [
        (OLD, None, {"taken": ()}, Step.BUILD),
        (OLD, MADE, {}, Step.STOP),
        (OLD, MADE, {"force": True}, Step.FORCE_STOP),
        (OLD, MADE, {"taken": (*BUILT, Step.STOP), "error": NO}, Step.FORCE_STOP),
        (root(NAME, "Frozen"), MADE, {}, Step.FORCE_STOP),
        (STOPPED, MADE, {}, Step.DETACH),
        (LET_GO, MADE, {}, Step.MOVE_OUT),
        (AWAY, MADE, {}, Step.MOVE_IN),
        (AWAY, PLACED, {}, Step.ATTACH),
        (AWAY, ATTACHED, {}, Step.START),
        (AWAY, ATTACHED, {"first": STOPPED}, Done(changed=True)),
        (AWAY, ATTACHED, {"taken": (*BUILT, Step.START)}, Done(changed=True)),
        (AWAY, RUNS, {}, Done(changed=True)),
        # Somebody has deleted the old one meanwhile.
        (None, None, {"taken": ()}, InstanceNotFound),
        (None, MADE, {}, InstanceNotFound),
        (None, RUNS, {}, Done(changed=True)),
        (None, ATTACHED, {}, Step.START),
    ],
)
def test_the_new_one_takes_the_place_when_the_old_one_has_let_go(
    old: Observation | None, new: Observation | None, more: dict[str, Any], expected: object
) -> None:
    assert move(Kind.REBUILD, old, new, **more) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (OLD, MADE, Undo(Step.DISCARD, NO)),
        (STOPPED, MADE, Undo(Step.START, NO)),
        (LET_GO, MADE, Undo(Step.REATTACH, NO)),
        (AWAY, MADE, Undo(Step.MOVE_OLD_BACK, NO)),
        (AWAY, PLACED, Undo(Step.MOVE_NEW_BACK, NO)),
        (AWAY, ATTACHED, Undo(Step.RELEASE, NO)),
        (AWAY, RUNS, Undo(Step.FORCE_STOP, NO)),
        (OLD, None, LxdRefused),
        (None, RUNS, LxdRefused),
        (None, MADE, LxdRefused),
    ],
)
def test_the_way_back_leads_to_the_old_one_from_anywhere(
    old: Observation | None, new: Observation | None, expected: object
) -> None:
    assert move(Kind.REBUILD, old, new, cause=NO) == expected


@pytest.mark.parametrize(
    ("step", "error", "old", "new", "expected"),
    [
        (Step.BUILD, NO, OLD, None, LxdRefused),
        (
            Step.BUILD,
            NO,
            OLD,
            root(BESIDE, complete=False, parked_as=BESIDE),
            Undo(Step.DISCARD, NO),
        ),
        (Step.DETACH, NO, STOPPED, MADE, Undo(Step.START, NO)),
        (Step.START, NO, AWAY, ATTACHED, Undo(Step.RELEASE, NO)),
        # It was refused because it was so already.
        (Step.FORCE_STOP, NO, STOPPED, MADE, Step.DETACH),
        (Step.MOVE_OUT, NO, AWAY, MADE, Step.MOVE_IN),
        (Step.START, NO, AWAY, RUNS, Done(changed=True)),
    ],
)
def test_a_refusal_turns_back_unless_what_was_asked_shows(
    step: Step, error: LxdRefused, old: Observation, new: Observation | None, expected: object
) -> None:
    taken = BUILT if step is Step.BUILD else (*BUILT, step)

    assert move(Kind.REBUILD, old, new, taken=taken, error=error) == expected


@pytest.mark.parametrize("error", [Cancelled(), StepTimedOut("stop")])
def test_who_calls_it_off_and_who_has_no_time_turns_back(error: Any) -> None:
    taken = (*BUILT, Step.STOP)

    assert move(Kind.REBUILD, STOPPED, MADE, taken=taken, error=error) == Undo(Step.START, error)
    assert abort(Kind.REBUILD, situation(LET_GO, MADE), error) == Undo(Step.REATTACH, error)


def test_a_guest_that_lxd_was_too_busy_to_ask_is_not_stopped_by_force() -> None:
    busy, taken = LxdBusy("busy running a start operation"), (*BUILT, Step.STOP)

    assert move(Kind.REBUILD, OLD, MADE, taken=taken, error=busy) == Undo(Step.DISCARD, busy)
    assert move(Kind.REBUILD, OLD, MADE, taken=taken, error=NO) is Step.FORCE_STOP


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [(LET_GO, MADE, (*BUILT, *(Step.MOVE_OUT,) * MOST_TRIES)), (OLD, None, BUILT)],
)
def test_what_lxd_says_that_it_does_and_does_not_has_no_effect(
    old: Observation, new: Observation | None, taken: tuple[Step, ...]
) -> None:
    swap = situation(old, new, taken=taken)

    back = decide(Kind.REBUILD, swap)

    assert isinstance(back, (Undo, Failed))
    error = back.cause if isinstance(back, Undo) else back.error
    assert isinstance(error, NoEffect)
    assert error.step == taken[-1]


def test_what_was_interrupted_is_taken_again_but_not_for_ever() -> None:
    broken = StepInterrupted("detach")
    once, often = (*BUILT, Step.DETACH), (*BUILT, *(Step.DETACH,) * MOST_TRIES)

    assert move(Kind.REBUILD, STOPPED, MADE, taken=once, error=broken) is Step.DETACH
    back = move(Kind.REBUILD, STOPPED, MADE, taken=often, error=broken)
    assert isinstance(back, Undo)
    assert back.step is Step.START


@pytest.mark.parametrize(
    ("step", "old", "new", "expected"),
    [
        (Step.MOVE_OLD_BACK, AWAY, MADE, Stuck()),
        (Step.REATTACH, LET_GO, MADE, Stuck()),
        (Step.START, STOPPED, MADE, Undo(Step.DISCARD, NO)),
        (Step.DISCARD, OLD, MADE, LxdRefused),
    ],
)
def test_what_lxd_never_does_is_left_out_where_the_old_one_is_in_its_place(
    step: Step, old: Observation, new: Observation, expected: object
) -> None:
    assert move(Kind.REBUILD, old, new, taken=(step,) * MOST_TRIES, cause=NO) == expected


def test_a_revert_makes_nothing_and_deletes_nothing() -> None:
    assert move(Kind.REVERT, OLD, None, taken=()) is TrashNotFound
    assert move(Kind.REVERT, OLD, MADE, taken=()) is Step.STOP
    assert move(Kind.REVERT, OLD, MADE, cause=NO) is LxdRefused


def test_an_ephemeral_one_would_be_gone_when_it_stops() -> None:
    assert move(Kind.REBUILD, replace(OLD, ephemeral=True), None, taken=()) is InvalidInput


def test_an_order_without_a_plan_finds_nothing() -> None:
    found = decide(Kind.REVERT, Situation(name=NAME, arguments=Arguments(), now=None))

    assert isinstance(found, Failed)


@pytest.mark.parametrize(
    ("step", "old", "new", "done"),
    [
        (Step.BUILD, OLD, MADE, True),
        (Step.BUILD, OLD, None, False),
        (Step.STOP, STOPPED, MADE, True),
        (Step.FORCE_STOP, OLD, MADE, False),
        (Step.DETACH, LET_GO, MADE, True),
        (Step.DETACH, STOPPED, MADE, False),
        (Step.MOVE_OUT, AWAY, MADE, True),
        (Step.MOVE_IN, AWAY, PLACED, True),
        (Step.MOVE_IN, AWAY, MADE, False),
        (Step.ATTACH, AWAY, ATTACHED, True),
        (Step.ATTACH, AWAY, PLACED, False),
        (Step.START, AWAY, RUNS, True),
        (Step.START, AWAY, ATTACHED, False),
        (Step.START, AWAY, MADE, False),
        (Step.RELEASE, AWAY, PLACED, True),
        (Step.MOVE_NEW_BACK, AWAY, MADE, True),
        (Step.MOVE_OLD_BACK, LET_GO, MADE, True),
        (Step.REATTACH, STOPPED, MADE, True),
        (Step.DISCARD, OLD, None, True),
    ],
)
def test_a_step_is_judged_by_where_the_roots_stand(
    step: Step, old: Observation, new: Observation | None, done: bool
) -> None:
    swap = RootSwap(name=NAME, beside=BESIDE, trash=TRASH, old=old, new=new)

    verdict = judge_swap(step, swap)

    assert verdict is (Verdict.DONE if done else Verdict.NOT_DONE)


def test_a_start_that_nobody_saw_end_is_made_again_where_nothing_runs() -> None:
    broken, taken = StepInterrupted("start"), (*BUILT, Step.START)

    assert move(Kind.REBUILD, AWAY, ATTACHED, taken=taken, error=broken) is Step.START
