"""The rules for changing an instance: its settings, name, snapshots and password."""

from __future__ import annotations

from services.lxd_worker.instances.limits import first_unmet
from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.snapshots import after_snapshot, take_snapshot
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    Rule,
    Situation,
    Step,
    conclude,
)
from shared.contracts import errors
from shared.contracts.instance_config import Changes
from shared.contracts.operations import Kind

# Why a limit that LXD has accepted has no effect.
_WITHOUT_EFFECT = {
    "ingress": "for instances with a network interface",
    "egress": "for instances with a network interface",
    "read": "for instances with a root disk",
    "write": "for instances with a root disk",
    "processes": "set by a profile of the instance",
}

# LXD restores only the newest snapshot of such a pool, or deletes those that are newer.
_NOT_ON_ZFS = (
    "none for an instance on a zfs pool, where the newest snapshot is the only one that LXD "
    "restores; make a new instance of the snapshot, or restore without a safety snapshot"
)
_WITHOUT_SAFETY = "to keep the snapshot {!r} of before; the instance was restored all the same"


def _update(situation: Situation, now: Observation) -> Decision:
    changes = situation.arguments.changes or Changes()
    if error := _too_small(changes, now):
        return Failed(error)
    return Done(changed=False) if now.config.satisfies(changes) else Step.UPDATE


def _too_small(changes: Changes, now: Observation) -> errors.FleetError | None:
    """LXD accepts any size; an instance whose disk is smaller than its data could not write."""
    if changes.disk is None or now.root_used is None or changes.disk >= now.root_used:
        return None
    return errors.InvalidInput("disk", f"at least the {now.root_used} bytes that are in use")


def _rename(situation: Situation, now: Observation) -> Decision:
    if now.name == situation.arguments.new_name:
        shown = now.config.display_name == situation.arguments.display_name
        return Done(changed=False) if shown else Step.DESCRIBE
    return Step.RENAME if now.stopped else Failed(errors.InstanceRunning(situation.name))


def _restore(situation: Situation, now: Observation) -> Decision:
    if not _has_snapshot(situation, now):
        return _no_snapshot(situation)
    safety = situation.arguments.safety_snapshot
    if not safety:
        return Step.RESTORE
    if now.pool_driver == "zfs":
        return Failed(errors.InvalidInput("safety_snapshot", _NOT_ON_ZFS))
    if safety in now.snapshots:
        return Failed(errors.SnapshotExists(situation.name, safety))
    return Step.SNAPSHOT


def _delete_snapshot(situation: Situation, now: Observation) -> Decision:
    return Step.DELETE_SNAPSHOT if _has_snapshot(situation, now) else _no_snapshot(situation)


def _password(situation: Situation, now: Observation) -> Decision:
    if now.frozen:
        return Failed(errors.PasswordNotSet(situation.name, "it is paused"))
    return Step.SET_PASSWORD if now.running else Failed(errors.InstanceNotRunning(situation.name))


def _after_update(situation: Situation, now: Observation) -> Decision:
    changes = situation.arguments.changes or Changes()
    done = situation.error is None or isinstance(situation.error, errors.NoEffect)
    if done and (field := first_unmet(changes.limits, now.config.limits)):
        return Failed(errors.InvalidInput(field, _WITHOUT_EFFECT[field]))
    if situation.error is None:
        return Done(changed=True, needs_restart=now.postponed)
    if changes.memory is not None and _limit_not_set(situation.error):
        return Failed(errors.InvalidInput("memory", "more than is in use"))
    return conclude(situation, as_asked=now.config.satisfies(changes))


def _limit_not_set(error: errors.FleetError) -> bool:
    """Whether the kernel refused a limit; of those that LXD sets at once it refuses only memory."""
    return isinstance(error, errors.LxdRefused) and "setting cgroup item" in error.reason


def _after_rename(situation: Situation, _: Observation) -> Decision:
    """The note on name and ports is updated even if the display name stays."""
    if situation.last is Step.RENAME and not situation.error:
        return Step.DESCRIBE
    return conclude(situation, as_asked=False)


def _after_restore(situation: Situation, now: Observation) -> Decision:
    """Whoever asked for a way back is told if there is none."""
    decision, safety = _restored(situation, now), situation.arguments.safety_snapshot
    is_restored = Step.RESTORE in situation.taken and isinstance(decision, Done)
    if is_restored and safety and safety not in now.snapshots:
        return Failed(errors.LxdRefused(_WITHOUT_SAFETY.format(safety)))
    return decision


def _restored(situation: Situation, now: Observation) -> Decision:
    """LXD drops the description, and restores the display name of the snapshot's time."""
    if situation.last is Step.SNAPSHOT and not situation.error:
        return Step.RESTORE
    if situation.last is Step.RESTORE and not situation.error and situation.first:
        was, is_now = situation.first.config, now.config
        kept = (was.description, was.display_name) == (is_now.description, is_now.display_name)
        return Done(changed=True) if kept else Step.DESCRIBE
    return conclude(situation, as_asked=False)


def _after_delete_snapshot(situation: Situation, now: Observation) -> Decision:
    if _has_snapshot(situation, now):
        return Failed(situation.error or errors.NoEffect(Step.DELETE_SNAPSHOT.value))
    return conclude(situation, as_asked=True)


def _after_password(situation: Situation, _: Observation) -> Decision:
    if situation.last is Step.SET_PASSWORD and not situation.error:
        return Step.NOTE_PASSWORD
    return conclude(situation, as_asked=False)


def _has_snapshot(situation: Situation, now: Observation) -> bool:
    return situation.arguments.snapshot in now.snapshots


def _no_snapshot(situation: Situation) -> Failed:
    return Failed(errors.SnapshotNotFound(situation.name, situation.arguments.snapshot))


FIRST: dict[Kind, Rule] = {
    Kind.UPDATE: _update,
    Kind.RENAME: _rename,
    Kind.SNAPSHOT: take_snapshot,
    Kind.RESTORE: _restore,
    Kind.DELETE_SNAPSHOT: _delete_snapshot,
    Kind.PASSWORD: _password,
}
NEXT: dict[Kind, Rule] = {
    Kind.UPDATE: _after_update,
    Kind.RENAME: _after_rename,
    Kind.SNAPSHOT: after_snapshot,
    Kind.RESTORE: _after_restore,
    Kind.DELETE_SNAPSHOT: _after_delete_snapshot,
    Kind.PASSWORD: _after_password,
}
