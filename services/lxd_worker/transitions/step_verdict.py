"""What became of a step that was begun and whose end nobody observed.

After a crash of the worker or of LXD, LXD's own record of the request may be gone. Then only the
instance itself shows it, by what LXD and the kernel change with each step.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.steps import Step
from shared.contracts.instance_config import Changes
from shared.contracts.operations import Arguments


class Verdict(StrEnum):
    """`DONE`: the effect shows. `NOT_DONE`: all is as before. `UNDECIDABLE`: it may be either."""

    DONE = "done"
    NOT_DONE = "not done"
    UNDECIDABLE = "undecidable"


def judge(
    step: Step, arguments: Arguments, before: Observation, now: Observation | None
) -> Verdict:
    """Judge a step by two observations; `now` is None if the instance is gone or re-created."""
    if now is None:
        return _by(done=step in _ENDS_IT, not_done=False)
    if step in _JUDGES:
        return _JUDGES[step](before, now)
    return _JUDGES_OF_CHANGES[step](arguments, before, now)


def judge_creation(now: Observation | None) -> Verdict:
    """Judge whether LXD has created an instance, when it is idle with it.

    If LXD was killed meanwhile, the instance is there but will never be complete.
    """
    return Verdict.DONE if now and now.complete else Verdict.NOT_DONE


def new_snapshot(arguments: Arguments) -> str:
    """Return the name of the snapshot that is taken: of a restore, the one before it."""
    return arguments.safety_snapshot or arguments.snapshot


# LXD deletes an ephemeral instance when it stops.
_ENDS_IT = (Step.DELETE, Step.STOP, Step.FORCE_STOP)


def _by(*, done: bool, not_done: bool) -> Verdict:
    if done:
        return Verdict.DONE
    return Verdict.NOT_DONE if not_done else Verdict.UNDECIDABLE


def _started(before: Observation, now: Observation) -> Verdict:
    """A guest that ended at once leaves the instance stopped, but LXD has recorded the use."""
    return _by(done=not now.stopped, not_done=now.last_used_at == before.last_used_at)


def _stopped(before: Observation, now: Observation) -> Verdict:
    return _by(done=now.stopped, not_done=_same_run(before, now))


def _restarted(before: Observation, now: Observation) -> Verdict:
    known = before.init is not None and now.init is not None
    return _by(done=known and now.init != before.init, not_done=_same_run(before, now))


def _frozen(before: Observation, now: Observation) -> Verdict:
    same = _same_run(before, now)
    return _by(done=same and now.frozen, not_done=same and not now.frozen)


def _unfrozen(before: Observation, now: Observation) -> Verdict:
    same = _same_run(before, now)
    return _by(done=same and now.active, not_done=same and now.frozen)


def _still_there(before: Observation, now: Observation) -> Verdict:
    return _by(done=False, not_done=now.status == before.status)


def _renamed(before: Observation, now: Observation) -> Verdict:
    return _by(done=now.name != before.name, not_done=True)


def _restored(before: Observation, now: Observation) -> Verdict:
    """LXD stops it, restores its disk, then its settings, and starts it last.

    So a stopped one with the settings that it had may have been restored or not.
    """
    if not before.stopped:
        return _restarted(before, now)
    return _by(done=now.config != before.config, not_done=False)


def _described(arguments: Arguments, before: Observation, now: Observation) -> Verdict:
    if arguments.new_name:
        return _by(done=now.config.display_name == arguments.display_name, not_done=True)
    return _by(done=now.config != before.config, not_done=True)


def _updated(arguments: Arguments, before: Observation, now: Observation) -> Verdict:
    fulfilled = now.config.satisfies(arguments.changes or Changes())
    return _by(done=fulfilled, not_done=now.config == before.config)


def _snapshot_taken(arguments: Arguments, before: Observation, now: Observation) -> Verdict:
    """LXD lists a snapshot from the start, even one during which it was killed."""
    there = new_snapshot(arguments) in now.snapshots
    return _by(done=there and now.lxd == before.lxd, not_done=not there)


def _snapshot_deleted(arguments: Arguments, before: Observation, now: Observation) -> Verdict:
    """LXD lists a snapshot until the end, even if it was killed while deleting it."""
    there = arguments.snapshot in now.snapshots
    return _by(done=not there, not_done=now.lxd == before.lxd)


def _without_trace(before: Observation, now: Observation) -> Verdict:
    """Only the guest could show it."""
    return Verdict.UNDECIDABLE


def _same_run(before: Observation, now: Observation) -> bool:
    return before.init is not None and now.init == before.init


_JUDGES: dict[Step, Callable[[Observation, Observation], Verdict]] = {
    Step.START: _started,
    Step.STOP: _stopped,
    Step.FORCE_STOP: _stopped,
    Step.RESTART: _restarted,
    Step.FORCE_RESTART: _restarted,
    Step.FREEZE: _frozen,
    Step.UNFREEZE: _unfrozen,
    Step.DELETE: _still_there,
    Step.RENAME: _renamed,
    Step.RESTORE: _restored,
    Step.SET_PASSWORD: _without_trace,
    Step.NOTE_PASSWORD: _without_trace,
    Step.RUN_PRE: _without_trace,
    Step.RUN_POST: _without_trace,
}
_JUDGES_OF_CHANGES: dict[Step, Callable[[Arguments, Observation, Observation], Verdict]] = {
    Step.UPDATE: _updated,
    Step.DESCRIBE: _described,
    Step.SNAPSHOT: _snapshot_taken,
    Step.DELETE_SNAPSHOT: _snapshot_deleted,
}
