"""What a worker keeps of policies: runs under way, and what it knows of snapshots."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from shared.contracts.policies import PolicyRun, further_operation


class Phase(StrEnum):
    """How far a run is.

    `WAITING`: its snapshot was not asked for yet. `TAKING`: it was, and the operation's end was not
    recorded yet. `PRUNING`: the snapshot is there, and older ones may have to go.
    """

    WAITING = "waiting"
    TAKING = "taking"
    PRUNING = "pruning"
    OVER = "over"


class RunRecord(Struct, frozen=True, kw_only=True):
    """A run, and how far it is; `attempt` is how often LXD was too busy for its snapshot."""

    run: PolicyRun
    phase: Phase = Phase.WAITING
    attempt: int = 0

    @property
    def operation_id(self) -> str:
        """The id of the operation that takes the snapshot, at this attempt."""
        return further_operation(self.run.operation_id, self.attempt)


class Cursor(Struct, frozen=True, kw_only=True):
    """Up to which slot a policy's runs are recorded, in seconds since 1970, by which schedule.

    `slot` is the highest there ever was. `behind` is up to where they are recorded by a clock that
    was put back before it, None: none was. `left_at` is since when the policy is in no plan.
    """

    schedule: str
    slot: float
    behind: float | None = None
    left_at: float | None = None


class ClockAgreement(Struct, frozen=True, kw_only=True):
    """The wall clock less the time since boot, at a moment when it agreed with the centre's."""

    boot_id: str
    offset_s: float


class SnapshotRecord(Struct, frozen=True, kw_only=True):
    """What is known of a snapshot beyond LXD; `created_at` and `expires_at` are LXD's.

    `instance_created_at` is when LXD made the instance: a copy can have the uuid of the original.
    `policy_id` and `policy` are those of the policy that took it for `slot`, empty: none did.
    `misdated`: it was taken after one of the policy's with a later time. `protected` and `tags` are
    marks that people have set.
    """

    project: str
    uuid: str
    snapshot: str
    created_at: str
    instance_created_at: str
    policy_id: str = ""
    policy: str = ""
    slot: str = ""
    misdated: bool = False
    protected: bool = False
    tags: tuple[str, ...] = ()
    expires_at: str = ""


class Stock(Struct, frozen=True, kw_only=True):
    """How many snapshots of policies an instance has that stay, and when the newest was taken."""

    snapshots: int = 0
    newest: str = ""


class Failures(Struct, frozen=True, kw_only=True):
    """How many slots in a row have brought no snapshot, and the code of the last one."""

    count: int = 0
    code: str = ""
