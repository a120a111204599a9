"""The steps of operations, the decision on the next one, and the situation in which it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.lxd_worker.instances.observation import Observation
from shared.contracts.errors import FleetError
from shared.contracts.operations import Arguments


class Step(StrEnum):
    """One request to LXD.

    `STOP` and `RESTART` ask the guest, `FORCE_...` do not. `DESCRIBE` writes the display name and
    the description. `NOTE_PASSWORD` writes what `SET_PASSWORD` has set wherever one was noted.
    `RUN_PRE` and `RUN_POST` run commands in the guest, before and after a snapshot. From `BUILD` on
    they belong to a swap of roots; see `rebuild`.
    """

    START = "start"
    STOP = "stop"
    FORCE_STOP = "force-stop"
    RESTART = "restart"
    FORCE_RESTART = "force-restart"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    DELETE = "delete"
    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    DESCRIBE = "describe"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    DELETE_SNAPSHOT = "delete-snapshot"
    SET_PASSWORD = "set-password"  # noqa: S105 - a step
    NOTE_PASSWORD = "note-password"  # noqa: S105 - a step
    RUN_PRE = "run-pre"
    RUN_POST = "run-post"
    BUILD = "build"
    DETACH = "detach"
    MOVE_OUT = "move-out"
    MOVE_IN = "move-in"
    ATTACH = "attach"
    RELEASE = "release"
    MOVE_NEW_BACK = "move-new-back"
    MOVE_OLD_BACK = "move-old-back"
    REATTACH = "reattach"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Done:
    """The instance is as requested; `changed` is False if it already was.

    `needs_restart` are the fields that take effect at its next start. `gone`: it no longer exists.
    `remark` is what went wrong all the same.
    """

    changed: bool
    needs_restart: tuple[str, ...] = ()
    gone: bool = False
    remark: FleetError | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation cannot go on; `remark` is what went wrong besides."""

    error: FleetError
    remark: FleetError | None = None


@dataclass(frozen=True, slots=True)
class Stuck:
    """What was made cannot be removed, and nothing else is left to try."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The operation has failed because of `cause`; this step undoes a part of it."""

    step: Step
    cause: FleetError


Decision = Step | Done | Failed | Undo | Stuck


@dataclass(frozen=True, slots=True)
class RootSwap:
    """An instance whose root is swapped for another one, with the names that the plan gives.

    `old` is the root that it had, `new` the one that it gets; None: there is none. At most one of
    them has the instance's `name`; otherwise the old one is the `trash`, the new one is `beside`.
    """

    name: str
    beside: str
    trash: str
    old: Observation | None
    new: Observation | None


@dataclass(frozen=True, slots=True)
class Situation:
    """The situation of an operation between two steps.

    `taken` are the steps so far and `error` is why the last of them failed (None: LXD did it).
    `first` is the observation before all of them, `before` the one before the last, `now` the one
    after it (None: the instance is gone, or `replaced` by a namesake). `cause` is the error for
    which the operation is being undone. `swap` is set for a rebuild and a revert.
    """

    name: str
    arguments: Arguments
    now: Observation | None
    replaced: bool = False
    taken: tuple[Step, ...] = ()
    error: FleetError | None = None
    before: Observation | None = None
    first: Observation | None = None
    cause: FleetError | None = None
    swap: RootSwap | None = None

    @property
    def last(self) -> Step | None:
        """The step that was taken last."""
        return self.taken[-1] if self.taken else None


# Decides what comes next, by the observation of the instance now.
Rule = Callable[[Situation, Observation], Decision]


def conclude(situation: Situation, *, as_asked: bool) -> Decision:
    """Return LXD's word on the last step; if it refused what somebody else has done, it is done."""
    if situation.error is None:
        return Done(changed=True)
    return Done(changed=False) if as_asked else Failed(situation.error)
