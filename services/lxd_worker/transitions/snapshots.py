"""The rules for taking a snapshot, with commands in the guest before and after it.

A command before it that fails vetoes it. The one after it runs whatever has become of it, so that
what the first one has paused goes on; if it fails, the snapshot is good all the same. Neither is
ever run twice, and neither runs unless the instance does.
"""

from __future__ import annotations

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    Situation,
    Step,
    Undo,
)
from shared.contracts import errors

COMMAND_STEPS = (Step.RUN_PRE, Step.RUN_POST)


def take_snapshot(situation: Situation, now: Observation) -> Decision:
    """Return the first step, or why there is none."""
    wanted = situation.arguments
    if wanted.snapshot in now.snapshots:
        return Failed(errors.SnapshotExists(situation.name, wanted.snapshot))
    if wanted.stateful and now.stopped:
        return Failed(errors.InstanceNotRunning(situation.name))
    return Step.RUN_PRE if wanted.pre and now.running else Step.SNAPSHOT


def after_snapshot(situation: Situation, now: Observation) -> Decision:
    """Return what follows a step."""
    error = situation.error
    if situation.last is Step.RUN_POST:
        return _end(situation.cause, remark=error)
    if situation.last is Step.RUN_PRE and error is None:
        return Step.SNAPSHOT
    if situation.arguments.post is None or not now.running:
        return _end(error)
    return Undo(Step.RUN_POST, error) if error else Step.RUN_POST


def abort_snapshot(situation: Situation, error: errors.FleetError) -> Decision:
    """Return how it goes on when its time is over: a snapshot that is taken stays."""
    if situation.last is Step.SNAPSHOT and situation.error is None:
        return Step.RUN_POST
    runs = situation.now is not None and situation.now.running
    return Undo(Step.RUN_POST, error) if situation.arguments.post and runs else Failed(error)


def _end(error: errors.FleetError | None, remark: errors.FleetError | None = None) -> Decision:
    return Failed(error, remark) if error else Done(changed=True, remark=remark)
