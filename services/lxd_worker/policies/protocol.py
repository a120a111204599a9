"""What policies need of the worker's database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from services.lxd_worker.policies.records import (
    ClockAgreement,
    Cursor,
    Failures,
    RunRecord,
    SnapshotRecord,
    Stock,
)
from shared.contracts.instances import Instance
from shared.contracts.policies import Plan, PolicyRun
from shared.contracts.worker_api import Snapshot

T = TypeVar("T")


class Calculate(Protocol):
    """Runs a calculation of seconds, so that nothing else has to wait for it."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Return what it returns, or raise what it raises."""


# Returns a new version of a record, or the same one to leave it; may be called on any thread.
RunChange = Callable[[RunRecord], RunRecord]


class PolicyStore(Protocol):
    """What a worker keeps of policies; whatever a method has written survives a crash.

    Every change of a run gets the next sequence number, and is to be reported. Every method raises
    DatabaseUnavailable.
    """

    def plan(self) -> Plan | None:
        """Return the plan; None: there is none that this release can read."""

    def replace_plan(self, plan: Plan, cursors: Mapping[str, Cursor]) -> None:
        """Replace the plan, and all cursors, which are by the ids of policies."""

    def cursors(self) -> dict[str, Cursor]:
        """Return up to where each policy's runs are recorded."""

    def set_behind(self, policy_id: str, behind: float | None) -> None:
        """Record up to where runs are recorded by a clock that was put back."""

    def agreement(self) -> ClockAgreement | None:
        """Return when the clock agreed with the centre's."""

    def set_agreement(self, agreement: ClockAgreement | None) -> None:
        """Record that it does; None: it does not."""

    def begin_runs(
        self, runs: Sequence[PolicyRun], policy_id: str = "", slot: float = 0.0
    ) -> list[RunRecord]:
        """Record runs that wait, and with them that the policy is done up to a slot.

        The highest slot stays; see `cursors.after_slot`.
        Those that are recorded already stay as they are. Returns the others.
        """

    def find_run(self, run_id: str) -> RunRecord | None:
        """Return a run."""

    def unfinished_runs(self) -> list[RunRecord]:
        """Return the runs that are not over, in the order of their last change."""

    def advance_run(
        self, run_id: str, change: RunChange, taken: SnapshotRecord | None = None
    ) -> RunRecord | None:
        """Change a run and return it as it is then, None if there is none.

        With it, a snapshot that it took is recorded, and how many slots in a row brought none.
        """

    def advance_runs(self, run_ids: Sequence[str], change: RunChange) -> list[RunRecord]:
        """Change several runs, all or none; return those that there are, as they are then."""

    def runs_since(self, sequence: int, limit: int) -> list[PolicyRun]:
        """Return the runs that changed after a sequence number, oldest change first."""

    def unconfirmed_runs(self, limit: int) -> list[PolicyRun]:
        """Return runs whose last change the broker has not confirmed, oldest first."""

    def confirm_run(self, run_id: str, sequence: int) -> None:
        """Record that the broker has this change; a later one stays unconfirmed."""

    def failures(self) -> dict[tuple[str, str], Failures]:
        """Return the failures in a row, by the ids of policies and the uuids of instances."""

    def snapshots_of(self, project: str, uuid: str) -> list[SnapshotRecord]:
        """Return the records of an instance's snapshots."""

    def keep_snapshot(self, record: SnapshotRecord, most: int) -> bool:
        """Record a snapshot in place of what was known of its name.

        Returns False if there are so many records already.
        """

    def forget_snapshot(self, project: str, uuid: str, snapshot: str) -> None:
        """Delete a record."""

    def reconcile(
        self,
        instance: Instance,
        known: Collection[SnapshotRecord],
        listed: Sequence[Snapshot],
        at: float,
    ) -> None:
        """Take in the whole list of an instance's snapshots.

        Records that were known before LXD was asked for it, and are about none of them, are kept
        for a while as missing. Of those that were written since, the list says nothing.
        """

    def stock(self, now: str) -> dict[tuple[str, str], Stock]:
        """Return which snapshots of policies there are, by project and uuid.

        Left out are those that LXD will delete, and those dated after now.
        """

    def stock_of(self, project: str, uuid: str, now: str) -> Stock:
        """Return the same of one instance."""

    def tidy(self, present: Sequence[tuple[str, str]] | None, now: float, before: float) -> None:
        """Delete runs that are over, and records of what is missing, since before a Unix time.

        With them go the failures of instances that are gone. `present` are the projects and uuids
        of all instances; None: nobody knows.
        """
