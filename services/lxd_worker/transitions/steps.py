"""The requests that operations are made of, and what is known when the next one is chosen."""

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
    the description. `NOTE_PASSWORD` writes down what `SET_PASSWORD` has set, where one was noted.
    From `BUILD` on they are of a swap of roots; see `swap`.
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
    """The instance is as it was asked to be; `changed` is False when it already was.

    `needs_restart` are the fields that count from its next start. `gone`: it is there no more.
    """

    changed: bool
    needs_restart: tuple[str, ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation cannot go on."""

    error: FleetError


@dataclass(frozen=True, slots=True)
class Stuck:
    """What was made cannot be taken away, and nothing else is left to try."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The operation has failed because of `cause`; this step takes away what it made."""

    step: Step
    cause: FleetError


Decision = Step | Done | Failed | Undo | Stuck


@dataclass(frozen=True, slots=True)
class RootSwap:
    """An instance whose root is swapped for another one, with the names that the plan gives.

    `old` is the root that it had, `new` the one that it gets; None: it is not there. One of them at
    the most has the instance's `name`; else the old one is the `trash`, the new one is `beside`.
    """

    name: str
    beside: str
    trash: str
    old: Observation | None
    new: Observation | None


@dataclass(frozen=True, slots=True)
class Situation:
    """Where an operation stands between two steps.

    `taken` are the steps so far and `error` is why the last of them failed (None: LXD did it).
    `first` is what was seen before all of them, `before` what was seen before the last, `now` what
    is seen after it (None: it is gone, or `replaced` by a namesake). `cause` is why what was made
    is taken away again. `swap` is there for a rebuild and a revert.
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
        """The step taken last."""
        return self.taken[-1] if self.taken else None


# What is next, by where the instance stands now.
Rule = Callable[[Situation, Observation], Decision]


def ended(situation: Situation, *, as_asked: bool) -> Decision:
    """Return LXD's word on the last step; where it refused what somebody else did, it is done."""
    if situation.error is None:
        return Done(changed=True)
    return Done(changed=False) if as_asked else Failed(situation.error)
