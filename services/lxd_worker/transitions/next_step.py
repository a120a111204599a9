"""Which step comes next.

`decide` goes by the observation of the instance now: LXD is never asked for what a guest has done
by itself, or a colleague before us.
"""

from __future__ import annotations

from dataclasses import replace

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions import config, power, rebuild, snapshots
from services.lxd_worker.transitions.step_verdict import Verdict, judge
from services.lxd_worker.transitions.steps import Decision, Done, Failed, Situation, Step, Undo
from shared.contracts import errors
from shared.contracts.operations import Kind

_FIRST = {**power.FIRST, **config.FIRST}
_NEXT = {**power.NEXT, **config.NEXT}


def decide(kind: Kind, situation: Situation) -> Decision:
    """Return the step to take now, or how the operation has ended.

    No step is ever returned a second time for one operation, except those of a swap of roots. LXD's
    word that it has done a step is not believed if the instance is observed to be as it was.
    """
    if kind is Kind.CREATE:
        return decide_creation(_checked(situation))
    if kind in rebuild.SWAP_KINDS:
        return rebuild.decide_swap(kind, situation)
    ends = isinstance(situation.error, (errors.Cancelled, errors.StepInterrupted, errors.LxdBusy))
    if situation.error and ends and kind is not Kind.SNAPSHOT:
        return Failed(situation.error)
    if situation.now is None:
        return _gone(kind, situation)
    if situation.last is None:
        return _FIRST[kind](situation, situation.now)
    return _NEXT[kind](_checked(situation), situation.now)


def changes_config(kind: Kind) -> bool:
    """Whether a kind changes what an instance is, not how it runs.

    Its rules need a full observation, and may reject a command before it is accepted.
    """
    return kind in config.FIRST


def shows_in_snapshots(kind: Kind) -> bool:
    """Whether the status and the list of snapshots show all that the rules of a kind go by."""
    return kind in (Kind.SNAPSHOT, Kind.DELETE_SNAPSHOT)


def is_shown_by_status(kind: Kind, now: Observation) -> bool:
    """Whether the status alone shows that the instance is as a kind asks for.

    Of a restart only the process shows it.
    """
    return now.stopped or (kind in power.AS_REQUESTED and power.AS_REQUESTED[kind](now))


def early_failure(kind: Kind, situation: Situation) -> errors.FleetError | None:
    """Return why a command is not even accepted: it would fail without having begun anything."""
    if not changes_config(kind):
        return None
    decision = decide(kind, situation)
    return decision.error if isinstance(decision, Failed) else None


def abort(kind: Kind, situation: Situation, error: errors.FleetError) -> Decision:
    """Return how an operation goes on that is given up because of an error."""
    if kind in rebuild.SWAP_KINDS:
        return rebuild.roll_back(kind, situation, error)
    if kind is Kind.SNAPSHOT:
        return snapshots.abort_snapshot(situation, error)
    return undo_creation(situation, error) if kind is Kind.CREATE else Failed(error)


def decide_creation(situation: Situation) -> Decision:
    """Return the step to take now, or how the creation has ended."""
    if situation.last is Step.START and situation.now and situation.now.running:
        return Done(changed=True)
    if cause := situation.cause or situation.error:
        return undo_creation(situation, cause)
    if not situation.taken:
        is_free = situation.now is None and not situation.replaced
        return Step.CREATE if is_free else Failed(errors.InstanceExists(situation.name))
    if situation.now is None:
        return Failed(errors.InstanceNotFound(situation.name))
    return _after_creation(situation, situation.now)


def undo_creation(situation: Situation, cause: errors.FleetError) -> Decision:
    """Return the step that removes what was made, or the failure once nothing of it is left."""
    if situation.now is None:
        return Failed(errors.InstanceExists(situation.name) if situation.replaced else cause)
    step = Step.DELETE if situation.now.stopped else Step.FORCE_STOP
    return Failed(cause) if step in situation.taken else Undo(step, cause)


def _checked(situation: Situation) -> Situation:
    """Return the situation, with an error if LXD says that it did a step that had no effect."""
    last, before, now = situation.last, situation.before, situation.now
    if situation.error or last in (None, Step.CREATE) or before is None or now is None:
        return situation
    if judge(last, situation.arguments, before, now) is Verdict.NOT_DONE:
        return replace(situation, error=errors.NoEffect(last.value))
    return situation


def _gone(kind: Kind, situation: Situation) -> Decision:
    # An ephemeral instance is deleted by LXD when it stops, also by itself as soon as it has begun.
    ended = kind in (Kind.STOP, Kind.DELETE) or (_was_ephemeral(situation) and not situation.error)
    if situation.taken and ended:
        return Done(changed=True, gone=True)
    if situation.error:
        # The error says more: LXD also deletes an ephemeral instance that could not be started.
        return Failed(situation.error)
    gone = errors.InstanceReplaced if situation.replaced else errors.InstanceNotFound
    return Failed(gone(situation.name))


def _was_ephemeral(situation: Situation) -> bool:
    return situation.before is not None and situation.before.ephemeral


def _after_creation(situation: Situation, now: Observation) -> Decision:
    wanted = situation.arguments.create
    starts = wanted is not None and wanted.auto_start
    if situation.last is Step.CREATE and starts and now.stopped:
        return Step.START
    return Done(changed=True)
