"""The steps of a rebuild and a revert: another root under the same name.

The new root is made, or lies, beside the old one. When the old one has stopped it lets go of MAC
and ports and leaves its name, and only then the new one takes them. Whatever fails before the new
one has started is taken back, step by step, until the old one is as it was.

Unlike those of other kinds these steps may be taken again. Each of them is chosen by where the two
roots stand, changes one of them, and does nothing where it was done: so wherever a crash has left
them, there is a way on or back. Both are never given up, and only the one that has the name starts.
"""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.evidence import Verdict
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
from shared.contracts.errors import (
    Cancelled,
    FleetError,
    InstanceNotFound,
    InvalidInput,
    LxdBusy,
    NoEffect,
    StepInterrupted,
    StepTimedOut,
    TrashNotFound,
)
from shared.contracts.operations import Kind

KINDS = (Kind.REBUILD, Kind.REVERT)

# One step that LXD never does is given up after so many.
MOST_TRIES = 5


def next_swap_move(kind: Kind, situation: Situation) -> Decision:
    """Return the step to take now, or how the swap has ended."""
    swap = situation.swap
    if swap is None:
        return Failed(InstanceNotFound(situation.name))
    if situation.cause:
        return _back(kind, situation, swap, situation.cause)
    if error := _reason_to_go_back(situation, swap):
        return _back(kind, situation, swap, error)
    move = _forward(kind, situation, swap)
    if isinstance(move, Step) and situation.taken.count(move) >= MOST_TRIES:
        return _back(kind, situation, swap, situation.error or NoEffect(move.value))
    return _back(kind, situation, swap, move.error) if isinstance(move, Failed) else move


def taken_back(kind: Kind, situation: Situation, cause: FleetError) -> Decision:
    """Return the step that leads back to the old root, or the failure when that is in its place."""
    swap = situation.swap
    return _back(kind, situation, swap, cause) if swap else Failed(cause)


def fulfilled(step: Step, swap: RootSwap) -> Verdict:
    """Judge a step by where the roots stand.

    LXD notes the use of an instance that it fails to start as well: so one that does not run is
    started again, and its outcome is LXD's word on that.
    """
    return Verdict.DONE if _FULFILLED[step](swap) else Verdict.NOT_DONE


def at_its_place(swap: RootSwap) -> Observation | None:
    """Return the root that has the instance's name."""
    return next((root for root in (swap.old, swap.new) if root and root.name == swap.name), None)


def _reason_to_go_back(situation: Situation, swap: RootSwap) -> FleetError | None:
    error, step = situation.error, situation.last
    if error is None or step is None or isinstance(error, StepInterrupted):
        return None
    if isinstance(error, (Cancelled, StepTimedOut)):
        return error
    # A guest that does not stop in time is stopped by force; one that was not asked is not.
    forced = step is Step.STOP and not isinstance(error, LxdBusy)
    return None if forced or _shows(step, swap) else error


def _shows(step: Step, swap: RootSwap) -> bool:
    """Whether what LXD says that it refused is done all the same."""
    return step is not Step.BUILD and _FULFILLED[step](swap)


def _forward(kind: Kind, situation: Situation, swap: RootSwap) -> Decision:
    old, new = swap.old, swap.new
    if old is None:
        return _alone(situation, swap)
    if old.ephemeral:
        return Failed(InvalidInput("instance", "one that is not ephemeral"))
    if new is None or not new.complete:
        return _made(kind, situation)
    if old.name == swap.name:
        return _out(situation, old)
    if new.name != swap.name:
        return Step.MOVE_IN
    if new.aside:
        return Step.ATTACH
    if _was_running(situation) and new.stopped and not _has_started(situation):
        return Step.START
    return Done(changed=True)


def _alone(situation: Situation, swap: RootSwap) -> Decision:
    """Somebody has deleted the old root; the new one may be in its place already."""
    new = swap.new
    if new is None or new.name != swap.name or new.aside:
        return Failed(InstanceNotFound(situation.name))
    starts = _was_running(situation) and new.stopped and not _has_started(situation)
    return Step.START if starts else Done(changed=True)


def _made(kind: Kind, situation: Situation) -> Decision:
    if kind is Kind.REVERT:
        return Failed(TrashNotFound(situation.name))
    if Step.BUILD in situation.taken:
        return Failed(situation.error or NoEffect(Step.BUILD.value))
    return Step.BUILD


def _out(situation: Situation, old: Observation) -> Step:
    if not old.stopped:
        asked = Step.STOP in situation.taken or situation.arguments.force
        return Step.FORCE_STOP if asked or old.frozen else Step.STOP
    return Step.MOVE_OUT if old.aside else Step.DETACH


def _was_running(situation: Situation) -> bool:
    return situation.first is not None and not situation.first.stopped


def _has_started(situation: Situation) -> bool:
    """One that ended by itself was started all the same."""
    return situation.last is Step.START and situation.error is None


def _back(kind: Kind, situation: Situation, swap: RootSwap, cause: FleetError) -> Decision:
    for step in _steps_back(kind, situation, swap):
        if situation.taken.count(step) < MOST_TRIES:
            return Undo(step, cause)
        if step not in _DISPENSABLE:
            return Stuck()
    return Failed(cause)


def _steps_back(kind: Kind, situation: Situation, swap: RootSwap) -> list[Step]:
    """Return what is left to do, in order, until the old root is as it was.

    Where somebody has deleted that, the new one is all there is: it stays where it is.
    """
    old, new = swap.old, swap.new
    if old is None:
        return []
    steps: list[Step] = []
    if new and new.name == swap.name:
        steps += [] if new.stopped else [Step.FORCE_STOP]
        steps += [] if new.aside else [Step.RELEASE]
        steps.append(Step.MOVE_NEW_BACK)
    steps += [] if old.name == swap.name else [Step.MOVE_OLD_BACK]
    steps += [Step.REATTACH] if old.aside else []
    starts = _was_running(situation) and old.stopped and not _has_started_again(situation)
    steps += [Step.START] if starts else []
    if new and kind is Kind.REBUILD:
        steps.append(Step.DISCARD)
    return steps


def _has_started_again(situation: Situation) -> bool:
    return situation.cause is not None and _has_started(situation)


# Without these the old root is in its place all the same.
_DISPENSABLE = (Step.START, Step.DISCARD)


def _is_stopped(swap: RootSwap) -> bool:
    now = at_its_place(swap)
    return now is None or now.stopped


def _is_started(swap: RootSwap) -> bool:
    now = at_its_place(swap)
    return now is not None and now.running


_FULFILLED: dict[Step, Callable[[RootSwap], bool]] = {
    Step.BUILD: lambda swap: swap.new is not None and swap.new.complete,
    Step.STOP: _is_stopped,
    Step.FORCE_STOP: _is_stopped,
    Step.START: _is_started,
    Step.DETACH: lambda swap: swap.old is not None and bool(swap.old.aside),
    Step.MOVE_OUT: lambda swap: swap.old is not None and swap.old.name == swap.trash,
    Step.MOVE_IN: lambda swap: swap.new is not None and swap.new.name == swap.name,
    Step.ATTACH: lambda swap: swap.new is not None and not swap.new.aside,
    Step.RELEASE: lambda swap: swap.new is not None and bool(swap.new.aside),
    Step.MOVE_NEW_BACK: lambda swap: swap.new is not None and swap.new.name == swap.beside,
    Step.MOVE_OLD_BACK: lambda swap: swap.old is not None and swap.old.name == swap.name,
    Step.REATTACH: lambda swap: swap.old is not None and not swap.old.aside,
    Step.DISCARD: lambda swap: swap.new is None,
}
