"""Which request is next.

`next_move` looks at where the instance stands now, so a guest that stops by itself, or a colleague
who was faster, is never asked to do what is done already.
"""

from __future__ import annotations

from dataclasses import replace

from services.lxd_worker.transitions import config, power, rebuild
from services.lxd_worker.transitions.creation import next_creation_move, undone
from services.lxd_worker.transitions.evidence import Verdict, evidence
from services.lxd_worker.transitions.steps import Decision, Done, Failed, Situation, Step
from shared.contracts.errors import (
    Cancelled,
    FleetError,
    InstanceNotFound,
    InstanceReplaced,
    LxdBusy,
    NoEffect,
    StepInterrupted,
)
from shared.contracts.operations import Kind

_FIRST = {**power.FIRST, **config.FIRST}
_NEXT = {**power.NEXT, **config.NEXT}


def next_move(kind: Kind, situation: Situation) -> Decision:
    """Return the step to take now, or how the operation has ended.

    No step is ever returned a second time for one operation, but for those of a swap of roots.
    LXD's word that it has done a step counts for nothing where all that the step was to change is
    seen to be as it was.
    """
    if kind is Kind.CREATE:
        return next_creation_move(_checked(situation))
    if kind in rebuild.KINDS:
        return rebuild.next_swap_move(kind, situation)
    if isinstance(situation.error, (Cancelled, StepInterrupted, LxdBusy)):
        return Failed(situation.error)
    if situation.now is None:
        return _gone(kind, situation)
    if situation.last is None:
        return _FIRST[kind](situation, situation.now)
    return _NEXT[kind](_checked(situation), situation.now)


def is_alteration(kind: Kind) -> bool:
    """Return whether a kind changes what an instance is, not how it runs.

    Its rules need to know more of the instance, and may refuse it beforehand.
    """
    return kind in config.FIRST


def refusal(kind: Kind, situation: Situation) -> FleetError | None:
    """Return why an operation is not even taken on: it would fail without having begun anything."""
    if not is_alteration(kind):
        return None
    move = next_move(kind, situation)
    return move.error if isinstance(move, Failed) else None


def given_up(kind: Kind, situation: Situation, error: FleetError) -> Decision:
    """Return how an operation ends that takes no further step because of an error."""
    if kind in rebuild.KINDS:
        return rebuild.taken_back(kind, situation, error)
    return undone(situation, error) if kind is Kind.CREATE else Failed(error)


def _checked(situation: Situation) -> Situation:
    """Return the situation with the failure of a step that LXD says it has done, if it had none."""
    last, before, now = situation.last, situation.before, situation.now
    if situation.error or last in (None, Step.CREATE) or before is None or now is None:
        return situation
    if evidence(last, situation.arguments, before, now) is Verdict.NOT_DONE:
        return replace(situation, error=NoEffect(last.value))
    return situation


def _gone(kind: Kind, situation: Situation) -> Decision:
    # An ephemeral instance is deleted by LXD when it stops, also by itself as soon as it has begun.
    ended = kind in (Kind.STOP, Kind.DELETE) or (_was_ephemeral(situation) and not situation.error)
    if situation.taken and ended:
        return Done(changed=True, gone=True)
    if situation.error:
        # It says more: LXD also deletes an ephemeral instance that could not be started.
        return Failed(situation.error)
    gone = InstanceReplaced if situation.replaced else InstanceNotFound
    return Failed(gone(situation.name))


def _was_ephemeral(situation: Situation) -> bool:
    return situation.before is not None and situation.before.ephemeral
