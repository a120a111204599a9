"""What the journal holds of one operation, and the only ways in which it may change.

A change that comes too late (the operation has ended, or is being cancelled) returns the entry as
it is: the journal then writes nothing, and the caller sees by the state that it came too late.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.journal.plan import AllocationPlan
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import FleetError, OperationInProgress, error_from_code
from shared.contracts.instances import Instance
from shared.contracts.operations import Failure, Kind, Operation, State, Submission, failure_of


class JournalEntry(Struct, frozen=True, kw_only=True):
    """An operation with what it takes to settle it after a crash.

    `taken` are the steps begun, in order. Of the last one, `before` is what was seen before it and
    `lxd_operation` LXD's id of it, empty until LXD answered with one; `first` is what was seen
    before the first. `start_by` is Unix time. `plan` is what the host gives to the instance, and
    `undone_for` why what a creation made is taken away again.
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

    @property
    def awaits_secrets(self) -> bool:
        """Whether it may not begin before its secrets have come."""
        is_accepted = self.operation.state is State.ACCEPTED
        return is_accepted and self.plan is not None and self.plan.secret

    @property
    def cause(self) -> FleetError | None:
        """Why what was made is taken away again, as the error that it was."""
        failure = self.undone_for
        return error_from_code(failure.code, failure.values) if failure else None


def accepted(
    submission: Submission,
    at: str,
    plan: AllocationPlan | None = None,
    start_by: float | None = None,
) -> JournalEntry:
    """Return the entry of a submission that was taken on; nothing has begun.

    `start_by` is by this host's clock; None: the submission's own counts.
    """
    operation = Operation(
        operation_id=submission.operation_id,
        host=submission.host,
        kind=submission.kind,
        project=submission.project,
        instance=submission.instance,
        uuid=submission.uuid,
        principal=submission.principal,
        arguments=submission.arguments,
        state=State.ACCEPTED,
        created_at=at,
        accepted_at=at,
        correlation_id=submission.correlation_id,
    )
    return JournalEntry(
        operation=operation,
        start_by=float(submission.start_by) if start_by is None else start_by,
        timeout_s=submission.timeout_s,
        plan=plan,
    )


def behind(entry: JournalEntry, holder: JournalEntry | None) -> JournalEntry:
    """Return the entry as it is accepted: behind a creation it waits, else the instance is free.

    What waits for secrets waits for nothing else. Raises OperationInProgress when anything else
    holds the instance.
    """
    if holder is None:
        return entry
    held_by, wanted = holder.operation, entry.operation
    if held_by.kind is not Kind.CREATE or wanted.kind is Kind.CREATE or entry.awaits_secrets:
        raise OperationInProgress(wanted.instance, held_by.operation_id)
    return _with(entry, waits_for=held_by.operation_id)


def refuse_held(name: str, holder: JournalEntry | None) -> None:
    """Raise OperationInProgress when another operation holds the name that a rename gives."""
    if holder:
        raise OperationInProgress(name, holder.operation.operation_id)


def unchanged(entry: JournalEntry) -> JournalEntry:
    """Return the entry as it is: a way to read it."""
    return entry


def started(entry: JournalEntry, at: str) -> JournalEntry:
    """Return the entry of an operation that somebody works on now."""
    if entry.operation.state is not State.ACCEPTED:
        return entry
    return _with(entry, state=State.RUNNING, started_at=at)


def begun(entry: JournalEntry, step: Step, before: Observation | None, at: str) -> JournalEntry:
    """Return the entry with a step begun; LXD is asked only after this is in the journal."""
    called_off = entry.operation.state is State.CANCELLING and entry.undone_for is None
    if entry.operation.final or called_off:
        return entry
    first = entry.first if entry.taken else before
    changed = replace(
        entry, taken=(*entry.taken, step), before=before, lxd_operation="", first=first
    )
    return _with(started(changed, at), step=step.value)


def handed_over(entry: JournalEntry, lxd_operation: str) -> JournalEntry:
    """Return the entry with LXD's id of the present step."""
    return replace(entry, lxd_operation=lxd_operation)


def renamed(entry: JournalEntry, name: str) -> JournalEntry:
    """Return the entry with the name that its instance has now."""
    return _with(entry, instance=name)


def progressed(entry: JournalEntry, percent: int) -> JournalEntry:
    """Return the entry of an operation that LXD has got so far with; it never goes back."""
    known = entry.operation.progress
    return _with(entry, progress=percent) if known is None or percent > known else entry


def undoing(entry: JournalEntry, cause: FleetError) -> JournalEntry:
    """Return the entry of an operation that has failed and takes away what it made."""
    return entry if entry.undone_for else replace(entry, undone_for=failure_of(cause))


def overdue(entry: JournalEntry) -> JournalEntry:
    """Return the entry of an operation whose time is over and which goes on."""
    return _with(entry, overdue=True)


def cancelling(entry: JournalEntry) -> JournalEntry:
    """Return the entry of an operation that LXD was told to cancel."""
    if entry.operation.state is not State.RUNNING:
        return entry
    return _with(entry, state=State.CANCELLING)


def ended(
    entry: JournalEntry,
    state: State,
    at: str,
    *,
    changed: bool = True,
    error: FleetError | None = None,
    after: Instance | None = None,
    after_epoch: int = 0,
    needs_restart: tuple[str, ...] = (),
    gone: bool = False,
    log: str = "",
) -> JournalEntry:
    """Return the entry of an operation that is over; an end is never changed again.

    `log` is what LXD has written about the failure.
    """
    if entry.operation.final:
        return entry
    return _with(
        entry,
        state=state,
        finished_at=at,
        changed=changed,
        failure=None if error is None else replace(failure_of(error), log=log),
        after=after,
        after_epoch=after_epoch if after else 0,
        needs_restart=needs_restart,
        gone=gone,
    )


def withdrawn(entry: JournalEntry, at: str, error: FleetError) -> JournalEntry:
    """Return the entry cancelled if nothing of it has begun, else as it is."""
    if entry.operation.state is not State.ACCEPTED:
        return entry
    return ended(entry, State.CANCELLED, at, changed=False, error=error)


def _with(entry: JournalEntry, **changes: object) -> JournalEntry:
    return replace(entry, operation=replace(entry.operation, **changes))
