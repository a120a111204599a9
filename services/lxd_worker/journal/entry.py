"""The journal's record of one operation, and the only ways in which it may change.

A change that comes too late, because the operation has ended or is being cancelled, returns the
entry as it is: the journal then writes nothing, and the caller sees by the state that it was late.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import FleetError, OperationInProgress, error_from_code
from shared.contracts.instances import Instance
from shared.contracts.operations import (
    Failure,
    Kind,
    Operation,
    State,
    Submission,
    command_fields,
    failure_of,
)


class RootSwapPlan(Struct, frozen=True, kw_only=True):
    """How an instance's root is swapped for another one.

    `incoming` identifies the new root, see `parked_roots.ROOT`. Until it is in place it is the
    instance `beside`; the old one becomes the instance `trash`, kept until the Unix time `until`.
    `disk` is how many bytes more are committed meanwhile.
    """

    incoming: str
    beside: str
    trash: str
    until: int
    disk: int = 0


class CopyPlan(Struct, frozen=True, kw_only=True):
    """What an instance made of a snapshot has beside what LXD copies; `config` is replaced in it.

    An empty setting removes one of the snapshot's.
    """

    architecture: str
    profiles: tuple[str, ...]
    config: dict[str, str]


class AllocationPlan(Struct, frozen=True, kw_only=True):
    """What the host gives to an instance; fixed at acceptance, since later commands must count it.

    `source` is LXD's source for the image, `devices` are root disk, NIC and proxies. `secret`: the
    operation takes secrets, which are kept in memory only; for a password that is the whole plan.
    `swap` belongs to a rebuild or a revert, `copy_plan` to an instance made of a snapshot.
    """

    source: dict[str, str] = {}
    devices: Devices = {}
    secret: bool = False
    swap: RootSwapPlan | None = None
    copy_plan: CopyPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an operation has ended.

    `after` is the instance as it is then, read in the worker's run `after_epoch`. `needs_restart`
    are the fields that take effect at its next start; `gone`: it no longer exists. `log` is what
    LXD has written about the failure. `remark` is what went wrong besides.
    """

    changed: bool = True
    error: FleetError | None = None
    after: Instance | None = None
    after_epoch: int = 0
    needs_restart: tuple[str, ...] = ()
    gone: bool = False
    log: str = ""
    remark: FleetError | None = None


_CHANGED = Outcome()


class JournalEntry(Struct, frozen=True, kw_only=True):
    """An operation with all that is needed to settle it after a crash.

    `taken` are the steps begun so far, in order. `before` is the observation before the last of
    them and `lxd_operation` LXD's id of it, empty until LXD has answered with one; `first` is the
    observation before the first. `start_by` is Unix time. `undone_for` is why what a creation made
    is removed again. `remark` is what went wrong although the operation is done.
    """

    operation: Operation
    start_by: float
    timeout_s: float
    taken: tuple[Step, ...] = ()
    before: Observation | None = None
    lxd_operation: str = ""
    first: Observation | None = None
    plan: AllocationPlan | None = None
    undone_for: Failure | None = None
    remark: Failure | None = None

    @classmethod
    def accept(
        cls,
        submission: Submission,
        at: str,
        plan: AllocationPlan | None = None,
        start_by: float | None = None,
    ) -> JournalEntry:
        """Return the entry of a command that is accepted; nothing has begun.

        `start_by` is by this host's clock; None: the submission's own counts.
        """
        operation = Operation(
            **command_fields(submission),
            operation_id=submission.operation_id,
            state=State.ACCEPTED,
            created_at=at,
            accepted_at=at,
        )
        return cls(
            operation=operation,
            start_by=float(submission.start_by) if start_by is None else start_by,
            timeout_s=submission.timeout_s,
            plan=plan,
        )

    @property
    def awaits_secrets(self) -> bool:
        """Whether it may not begin before its secrets have come."""
        is_accepted = self.operation.state is State.ACCEPTED
        return is_accepted and self.plan is not None and self.plan.secret

    @property
    def swap(self) -> RootSwapPlan | None:
        """The plan of a rebuild or a revert; None for any other operation."""
        return self.plan.swap if self.plan else None

    @property
    def cause(self) -> FleetError | None:
        """The error for which its effects are undone."""
        failure = self.undone_for
        return error_from_code(failure.code, failure.values) if failure else None

    def queue_behind(self, holder: JournalEntry | None) -> JournalEntry:
        """Return it as it is accepted: behind a creation it waits, else the instance must be free.

        An operation that waits for secrets waits for nothing else. Raises OperationInProgress if
        anything else holds the instance.
        """
        if holder is None:
            return self
        held_by, own = holder.operation, self.operation
        if held_by.kind is not Kind.CREATE or own.kind is Kind.CREATE or self.awaits_secrets:
            raise OperationInProgress(own.instance, held_by.operation_id)
        return _with(self, waits_for=held_by.operation_id)

    def start(self, at: str) -> JournalEntry:
        """Record that somebody works on it."""
        if self.operation.state is not State.ACCEPTED:
            return self
        return _with(self, state=State.RUNNING, started_at=at)

    def begin(self, step: Step, before: Observation | None, at: str) -> JournalEntry:
        """Record that a step begins; LXD is asked only once this is in the journal."""
        is_cancelled = self.operation.state is State.CANCELLING and self.undone_for is None
        if self.operation.final or is_cancelled:
            return self
        first = self.first if self.taken else before
        begun = replace(
            self, taken=(*self.taken, step), before=before, lxd_operation="", first=first
        )
        return _with(begun.start(at), step=step.value)

    def hand_over(self, lxd_operation: str) -> JournalEntry:
        """Record LXD's id of the present step; empty: LXD has to be asked again."""
        return replace(self, lxd_operation=lxd_operation)

    def rename(self, name: str) -> JournalEntry:
        """Record the name that its instance has now."""
        return _with(self, instance=name)

    def advance(self, percent: int) -> JournalEntry:
        """Record how far LXD is; that never goes back."""
        known = self.operation.progress
        return _with(self, progress=percent) if known is None or percent > known else self

    def undo(self, cause: FleetError) -> JournalEntry:
        """Record that it has failed and its effects are being undone."""
        return self if self.undone_for else replace(self, undone_for=failure_of(cause))

    def mark_overdue(self) -> JournalEntry:
        """Record that its time is over, although it goes on."""
        return _with(self, overdue=True)

    def cancel(self) -> JournalEntry:
        """Record that LXD was told to cancel it."""
        if self.operation.state is not State.RUNNING:
            return self
        return _with(self, state=State.CANCELLING)

    def withdraw(self, at: str, error: FleetError) -> JournalEntry:
        """Record that it is cancelled, if nothing of it has begun."""
        if self.operation.state is not State.ACCEPTED:
            return self
        return self.finish(State.CANCELLED, at, Outcome(changed=False, error=error))

    def finish(self, state: State, at: str, outcome: Outcome = _CHANGED) -> JournalEntry:
        """Record its end, which never changes again."""
        if self.operation.final:
            return self
        failure = None if outcome.error is None else failure_of(outcome.error)
        remark = failure_of(outcome.remark) if outcome.remark else None
        return _with(
            replace(self, remark=remark),
            state=state,
            finished_at=at,
            changed=outcome.changed,
            failure=replace(failure, log=outcome.log) if failure else None,
            after=outcome.after,
            after_epoch=outcome.after_epoch if outcome.after else 0,
            needs_restart=outcome.needs_restart,
            gone=outcome.gone,
        )


def require_free(name: str, holder: JournalEntry | None) -> None:
    """Raise OperationInProgress if another operation holds the name that a rename gives."""
    if holder:
        raise OperationInProgress(name, holder.operation.operation_id)


def _with(entry: JournalEntry, **changes: object) -> JournalEntry:
    return replace(entry, operation=replace(entry.operation, **changes))
