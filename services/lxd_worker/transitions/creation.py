"""The rules for a creation: create the instance, start it; if either fails, remove it again.

The instance is identified by the uuid that the command gave to it: nothing else is ever removed.
"""

from __future__ import annotations

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.evidence import Verdict
from services.lxd_worker.transitions.steps import Decision, Done, Failed, Situation, Step, Undo
from shared.contracts.errors import FleetError, InstanceExists, InstanceNotFound


def decide_creation(situation: Situation) -> Decision:
    """Return the step to take now, or how the creation has ended."""
    if situation.last is Step.START and situation.now and situation.now.running:
        return Done(changed=True)
    if cause := situation.cause or situation.error:
        return undo_creation(situation, cause)
    if not situation.taken:
        is_free = situation.now is None and not situation.replaced
        return Step.CREATE if is_free else Failed(InstanceExists(situation.name))
    if situation.now is None:
        return Failed(InstanceNotFound(situation.name))
    return _after(situation, situation.now)


def undo_creation(situation: Situation, cause: FleetError) -> Decision:
    """Return the step that removes what was made, or the failure once nothing of it is left."""
    if situation.now is None:
        return Failed(InstanceExists(situation.name) if situation.replaced else cause)
    step = Step.DELETE if situation.now.stopped else Step.FORCE_STOP
    return Failed(cause) if step in situation.taken else Undo(step, cause)


def judge_creation(now: Observation | None) -> Verdict:
    """Judge whether LXD has created an instance, when it is idle with it.

    If LXD was killed meanwhile, the instance is there but will never be complete.
    """
    return Verdict.DONE if now and now.complete else Verdict.NOT_DONE


def _after(situation: Situation, now: Observation) -> Decision:
    wanted = situation.arguments.create
    starts = wanted is not None and wanted.auto_start
    if situation.last is Step.CREATE and starts and now.stopped:
        return Step.START
    return Done(changed=True)
