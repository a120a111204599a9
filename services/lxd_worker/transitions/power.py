"""The rules for starting, stopping, restarting, freezing and deleting an instance."""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    Rule,
    Situation,
    Step,
    conclude,
)
from shared.contracts.errors import (
    InstanceNotFrozen,
    InstanceNotRunning,
    InstanceRunning,
    NoEffect,
)
from shared.contracts.operations import Kind


def _start(situation: Situation, now: Observation) -> Decision:
    if now.frozen:
        return Failed(InstanceRunning(situation.name))
    return Done(changed=False) if now.running else Step.START


def _stop(situation: Situation, now: Observation) -> Decision:
    return Done(changed=False) if now.stopped else _ask_guest(Step.STOP, situation, now)


def _restart(situation: Situation, now: Observation) -> Decision:
    if now.stopped:
        return Failed(InstanceNotRunning(situation.name))
    return _ask_guest(Step.RESTART, situation, now)


def _freeze(situation: Situation, now: Observation) -> Decision:
    if now.stopped:
        return Failed(InstanceNotRunning(situation.name))
    return Done(changed=False) if now.frozen else Step.FREEZE


def _unfreeze(situation: Situation, now: Observation) -> Decision:
    if now.stopped:
        return Failed(InstanceNotFrozen(situation.name))
    return Step.UNFREEZE if now.frozen else Done(changed=False)


def _delete(situation: Situation, now: Observation) -> Decision:
    if now.stopped:
        return Step.DELETE
    if situation.arguments.force:
        return Step.FORCE_STOP
    return Failed(InstanceRunning(situation.name))


_FORCED = {Step.STOP: Step.FORCE_STOP, Step.RESTART: Step.FORCE_RESTART}


def _ask_guest(step: Step, situation: Situation, now: Observation) -> Step:
    """Return the clean step, after `unfreeze` if the guest is frozen, or the forced one."""
    if situation.arguments.force:
        return _FORCED[step]
    if now.frozen:
        return _FORCED[step] if Step.UNFREEZE in situation.taken else Step.UNFREEZE
    return step


def _after_start(situation: Situation, now: Observation) -> Decision:
    return conclude(situation, as_asked=now.running)


def _after_stop(situation: Situation, now: Observation) -> Decision:
    if now.stopped:
        return Done(changed=True)
    if situation.last is Step.UNFREEZE:
        return _ask_guest(Step.STOP, situation, now)
    if situation.last is Step.STOP and situation.error:
        return Step.FORCE_STOP
    return conclude(situation, as_asked=False)


def _after_restart(situation: Situation, now: Observation) -> Decision:
    if situation.last is Step.UNFREEZE:
        return Step.START if now.stopped else _ask_guest(Step.RESTART, situation, now)
    return _after_failed_restart(situation, now) if situation.error else Done(changed=True)


def _after_failed_restart(situation: Situation, now: Observation) -> Decision:
    """The guest may have stopped, or rebooted, by itself after LXD had given up on it."""
    if now.stopped and Step.START not in situation.taken:
        return Step.START
    if not now.stopped and situation.before and now.init != situation.before.init:
        return Done(changed=True)
    if situation.last is Step.RESTART:
        return Step.FORCE_RESTART
    return conclude(situation, as_asked=False)


def _after_freeze(situation: Situation, now: Observation) -> Decision:
    return conclude(situation, as_asked=now.frozen)


def _after_unfreeze(situation: Situation, now: Observation) -> Decision:
    return conclude(situation, as_asked=now.active)


def _after_delete(situation: Situation, now: Observation) -> Decision:
    if not now.stopped:
        return Failed(situation.error or InstanceRunning(situation.name))
    if situation.last is Step.FORCE_STOP:
        return Step.DELETE
    return Failed(situation.error or NoEffect(Step.DELETE.value))


FIRST: dict[Kind, Rule] = {
    Kind.START: _start,
    Kind.STOP: _stop,
    Kind.RESTART: _restart,
    Kind.FREEZE: _freeze,
    Kind.UNFREEZE: _unfreeze,
    Kind.DELETE: _delete,
}
# The statuses that say as much as the process would, if LXD says that it has done the step.
AS_REQUESTED: dict[Kind, Callable[[Observation], bool]] = {
    Kind.CREATE: lambda now: now.running,
    Kind.START: lambda now: now.running,
    Kind.FREEZE: lambda now: now.frozen,
    Kind.UNFREEZE: lambda now: now.active,
}
NEXT: dict[Kind, Rule] = {
    Kind.START: _after_start,
    Kind.STOP: _after_stop,
    Kind.RESTART: _after_restart,
    Kind.FREEZE: _after_freeze,
    Kind.UNFREEZE: _after_unfreeze,
    Kind.DELETE: _after_delete,
}
