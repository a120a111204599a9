"""The steps of a creation: make the instance, start it; if either fails, take away what was made.

What was made is known by the uuid that the order gave to it: nothing else is ever taken away.
"""

from __future__ import annotations

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.evidence import Verdict
from services.lxd_worker.transitions.steps import Decision, Done, Failed, Situation, Step, Undo
from shared.contracts.errors import FleetError, InstanceExists, InstanceNotFound


def next_creation_move(situation: Situation) -> Decision:
    """Return the step to take now, or how the creation has ended."""
    if situation.last is Step.START and situation.now and situation.now.running:
        return Done(changed=True)
    if cause := situation.cause or situation.error:
        return undone(situation, cause)
    if not situation.taken:
        is_free = situation.now is None and not situation.replaced
        return Step.CREATE if is_free else Failed(InstanceExists(situation.name))
    if situation.now is None:
        return Failed(InstanceNotFound(situation.name))
    return _after(situation, situation.now)


def undone(situation: Situation, cause: FleetError) -> Decision:
    """Return the step that takes away what was made, and the failure when nothing is left of it."""
    if situation.now is None:
        return Failed(InstanceExists(situation.name) if situation.replaced else cause)
    step = Step.DELETE if situation.now.stopped else Step.FORCE_STOP
    return Failed(cause) if step in situation.taken else Undo(step, cause)


def made(now: Observation | None) -> Verdict:
    """Judge whether LXD has made an instance, when it is at rest with it.

    One that LXD was killed at is there, and will never be complete.
    """
    return Verdict.DONE if now and now.complete else Verdict.NOT_DONE


def _after(situation: Situation, now: Observation) -> Decision:
    wanted = situation.arguments.create
    starts = wanted is not None and wanted.auto_start
    if situation.last is Step.CREATE and starts and now.stopped:
        return Step.START
    return Done(changed=True)
