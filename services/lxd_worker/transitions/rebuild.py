"""The rules for a rebuild and a revert: another root under the same name.

The new root is made, or kept, beside the old one. Once the old one has stopped, it gives up its MAC
address, its ports and its name, and only then the new one takes them. Whatever fails before the new
one has started is rolled back, step by step, until the old one is as it was.

Unlike those of other kinds, these steps may be taken again. Each is chosen by the state of the two
roots, changes one of them, and has no effect where it was done already: so from wherever a crash
left them there is a way on or back. At least one of the two is always kept, and only the one that
has the name is started.
"""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.step_verdict import Verdict
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    RootSwap,
    Situation,
    Step,
    Stuck,
    Undo,
)
from shared.contracts import errors
from shared.contracts.operations import Kind

SWAP_KINDS = (Kind.REBUILD, Kind.REVERT)

# A step that LXD keeps failing to do is given up after so many tries.
MOST_TRIES = 5


def decide_swap(kind: Kind, situation: Situation) -> Decision:
    """Return the step to take now, or how the swap has ended."""
    swap = situation.swap
    if swap is None:
        return Failed(errors.InstanceNotFound(situation.name))
    if situation.cause:
        return _roll_back(kind, situation, swap, situation.cause)
    if error := _reason_to_roll_back(situation, swap):
        return _roll_back(kind, situation, swap, error)
    decision = _next(kind, situation, swap)
    if isinstance(decision, Step) and situation.taken.count(decision) >= MOST_TRIES:
        return _roll_back(kind, situation, swap, situation.error or errors.NoEffect(decision.value))
    return (
        _roll_back(kind, situation, swap, decision.error)
        if isinstance(decision, Failed)
        else decision
    )


def roll_back(kind: Kind, situation: Situation, cause: errors.FleetError) -> Decision:
    """Return the step that leads back to the old root, or the failure once that is in place."""
    swap = situation.swap
    return _roll_back(kind, situation, swap, cause) if swap else Failed(cause)


def judge_swap(step: Step, swap: RootSwap) -> Verdict:
    """Judge a step by the state of the roots.

    LXD records the use even of an instance that it fails to start: so one that does not run is
    started again, and its outcome is LXD's word on that.
    """
    return Verdict.DONE if _FULFILLED[step](swap) else Verdict.NOT_DONE


def root_in_place(swap: RootSwap) -> Observation | None:
    """Return the root that has the instance's name."""
    return next((root for root in (swap.old, swap.new) if root and root.name == swap.name), None)


def _reason_to_roll_back(situation: Situation, swap: RootSwap) -> errors.FleetError | None:
    error, step = situation.error, situation.last
    if error is None or step is None or isinstance(error, errors.StepInterrupted):
        return None
    if isinstance(error, (errors.Cancelled, errors.StepTimedOut)):
        return error
    # A guest that does not stop in time is stopped by force; one that was not asked is not.
    forced = step is Step.STOP and not isinstance(error, errors.LxdBusy)
    return None if forced or _has_effect(step, swap) else error


def _has_effect(step: Step, swap: RootSwap) -> bool:
    """Whether a step that LXD says it refused is done all the same."""
    return step is not Step.BUILD and _FULFILLED[step](swap)


def _next(kind: Kind, situation: Situation, swap: RootSwap) -> Decision:
    old, new = swap.old, swap.new
    if old is None:
        return _next_without_old(situation, swap)
    if old.ephemeral:
        return Failed(errors.InvalidInput("instance", "one that is not ephemeral"))
    if new is None or not new.complete:
        return _build(kind, situation)
    if old.name == swap.name:
        return _move_out(situation, old)
    if new.name != swap.name:
        return Step.MOVE_IN
    if new.parked_as:
        return Step.ATTACH
    if _was_running(situation) and new.stopped and not _has_started(situation):
        return Step.START
    return Done(changed=True)


def _next_without_old(situation: Situation, swap: RootSwap) -> Decision:
    """Somebody has deleted the old root; the new one may already be in place."""
    new = swap.new
    if new is None or new.name != swap.name or new.parked_as:
        return Failed(errors.InstanceNotFound(situation.name))
    starts = _was_running(situation) and new.stopped and not _has_started(situation)
    return Step.START if starts else Done(changed=True)


def _build(kind: Kind, situation: Situation) -> Decision:
    if kind is Kind.REVERT:
        return Failed(errors.TrashNotFound(situation.name))
    if Step.BUILD in situation.taken:
        return Failed(situation.error or errors.NoEffect(Step.BUILD.value))
    return Step.BUILD


def _move_out(situation: Situation, old: Observation) -> Step:
    if not old.stopped:
        asked = Step.STOP in situation.taken or situation.arguments.force
        return Step.FORCE_STOP if asked or old.frozen else Step.STOP
    return Step.MOVE_OUT if old.parked_as else Step.DETACH


def _was_running(situation: Situation) -> bool:
    return situation.first is not None and not situation.first.stopped


def _has_started(situation: Situation) -> bool:
    """Even if its guest has ended by itself."""
    return situation.last is Step.START and situation.error is None


def _roll_back(
    kind: Kind, situation: Situation, swap: RootSwap, cause: errors.FleetError
) -> Decision:
    for step in _steps_back(kind, situation, swap):
        if situation.taken.count(step) < MOST_TRIES:
            return Undo(step, cause)
        if step not in _DISPENSABLE:
            return Stuck()
    return Failed(cause)


def _steps_back(kind: Kind, situation: Situation, swap: RootSwap) -> list[Step]:
    """Return what is left to do, in order, until the old root is as it was.

    If somebody has deleted the old one, the new one is all there is, and stays where it is.
    """
    old, new = swap.old, swap.new
    if old is None:
        return []
    steps: list[Step] = []
    if new and new.name == swap.name:
        steps += [] if new.stopped else [Step.FORCE_STOP]
        steps += [] if new.parked_as else [Step.RELEASE]
        steps.append(Step.MOVE_NEW_BACK)
    steps += [] if old.name == swap.name else [Step.MOVE_OLD_BACK]
    steps += [Step.REATTACH] if old.parked_as else []
    starts = _was_running(situation) and old.stopped and not _has_started_again(situation)
    steps += [Step.START] if starts else []
    if new and kind is Kind.REBUILD:
        steps.append(Step.DISCARD)
    return steps


def _has_started_again(situation: Situation) -> bool:
    return situation.cause is not None and _has_started(situation)


# The old root is in place even without these.
_DISPENSABLE = (Step.START, Step.DISCARD)


def _is_stopped(swap: RootSwap) -> bool:
    now = root_in_place(swap)
    return now is None or now.stopped


def _is_started(swap: RootSwap) -> bool:
    now = root_in_place(swap)
    return now is not None and now.running


_FULFILLED: dict[Step, Callable[[RootSwap], bool]] = {
    Step.BUILD: lambda swap: swap.new is not None and swap.new.complete,
    Step.STOP: _is_stopped,
    Step.FORCE_STOP: _is_stopped,
    Step.START: _is_started,
    Step.DETACH: lambda swap: swap.old is not None and bool(swap.old.parked_as),
    Step.MOVE_OUT: lambda swap: swap.old is not None and swap.old.name == swap.trash,
    Step.MOVE_IN: lambda swap: swap.new is not None and swap.new.name == swap.name,
    Step.ATTACH: lambda swap: swap.new is not None and not swap.new.parked_as,
    Step.RELEASE: lambda swap: swap.new is not None and bool(swap.new.parked_as),
    Step.MOVE_NEW_BACK: lambda swap: swap.new is not None and swap.new.name == swap.beside,
    Step.MOVE_OLD_BACK: lambda swap: swap.old is not None and swap.old.name == swap.name,
    Step.REATTACH: lambda swap: swap.old is not None and not swap.old.parked_as,
    Step.DISCARD: lambda swap: swap.new is None,
}
