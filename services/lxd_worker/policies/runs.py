"""A run of a policy from its slot to its end, and the only ways in which it may change."""

from __future__ import annotations

from msgspec.structs import replace

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.policies.records import Phase, RunRecord
from services.lxd_worker.transitions.steps import Step
from shared.contracts.bounds import clip
from shared.contracts.errors import FleetError, LxdBusy, SnapshotNotFound
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation, State
from shared.contracts.policies import (
    MOST_LISTED,
    Policy,
    PolicyRun,
    RunState,
    slot_operation,
)
from shared.policies import reasons

# How often LXD may be too busy, each time for as long as an operation waits for it.
MOST_ATTEMPTS = 20

# Slots that could have brought a snapshot and have not.
_WITHOUT_SNAPSHOT = (RunState.VETOED, RunState.FAILED, RunState.UNKNOWN)
_LEFT_OUT = (reasons.BUSY, reasons.DUPLICATE_UUID)
_STATES = {State.DONE: RunState.TAKEN, State.UNKNOWN: RunState.UNKNOWN}


def waiting_run(
    policy: Policy, instance: Instance, slot: str, *, manual: bool = False
) -> PolicyRun:
    """Return the run of a slot, or of a request to run a policy, for an instance."""
    return PolicyRun(
        operation_id=slot_operation(policy.id, instance.uuid, slot),
        policy_id=policy.id,
        policy=policy.name,
        revision=policy.revision,
        slot=slot,
        instance=instance.name,
        uuid=instance.uuid,
        state=RunState.RUNNING,
        sequence=0,
        project=instance.project,
        manual=manual,
    )


def is_failure(run: PolicyRun) -> bool:
    """Whether an instance that should have a snapshot has got none."""
    is_left_out = run.state is RunState.SKIPPED and run.code in _LEFT_OUT
    return run.state in _WITHOUT_SNAPSHOT or is_left_out


def ends_failures(run: PolicyRun) -> bool:
    """Whether an instance has a snapshot again."""
    return run.state is RunState.TAKEN


def submitted(record: RunRecord, operation: Operation) -> RunRecord:
    """Record that the operation that takes the snapshot is accepted."""
    if record.phase is not Phase.WAITING:
        return record
    run = replace(
        record.run,
        instance=operation.instance,
        snapshot=operation.arguments.snapshot,
        started_at=operation.accepted_at,
    )
    return replace(record, run=run, phase=Phase.TAKING)


def skipped(record: RunRecord, code: str, message: str, at: str) -> RunRecord:
    """Record that a snapshot was not even tried."""
    if record.phase is not Phase.WAITING:
        return record
    return _ended(record, RunState.SKIPPED, code, message, at)


def refused(record: RunRecord, error: FleetError, at: str) -> RunRecord:
    """Record that the operation was not accepted, and will not be."""
    if record.phase is not Phase.WAITING:
        return record
    return _ended(record, RunState.FAILED, error.code, str(error), at)


def may_try_again(record: RunRecord, entry: JournalEntry) -> bool:
    """Whether LXD was too busy to take the snapshot, so that another operation may."""
    failure = entry.operation.failure
    is_busy = failure is not None and failure.code == LxdBusy.code
    return is_busy and record.attempt < MOST_ATTEMPTS


def put_off(record: RunRecord) -> RunRecord:
    """Record that LXD was too busy, and that another operation is to try again."""
    if record.phase is not Phase.TAKING:
        return record
    run = replace(record.run, snapshot="", started_at="")
    return RunRecord(run=run, phase=Phase.WAITING, attempt=record.attempt + 1)


def ended(record: RunRecord, entry: JournalEntry | None, at: str) -> RunRecord:
    """Record how the operation that takes the snapshot has ended; None: the journal lost it."""
    if record.phase is not Phase.TAKING:
        return record
    if entry is None:
        return _ended(record, RunState.UNKNOWN, "outcome_unknown", "", at)
    failure = entry.operation.failure or entry.remark
    code, message = (failure.code, failure.message) if failure else ("", "")
    state = _STATES.get(entry.operation.state, RunState.FAILED)
    if state is RunState.FAILED and _is_vetoed(entry):
        state = RunState.VETOED
    return _ended(record, state, code, message, entry.operation.finished_at or at)


def lost(record: RunRecord, at: str) -> RunRecord:
    """Record that the operation is done, and that its snapshot is not there."""
    if record.phase is not Phase.TAKING:
        return record
    error = SnapshotNotFound(record.run.instance, record.run.snapshot)
    return _ended(record, RunState.UNKNOWN, error.code, str(error), at)


def with_pruned(record: RunRecord, snapshot: str) -> RunRecord:
    """Record that the run has deleted a snapshot."""
    run = record.run
    if snapshot in run.pruned:
        return record
    pruned = (*run.pruned, snapshot)[:MOST_LISTED]
    more = replace(run, pruned=pruned, pruned_count=run.pruned_count + 1)
    return replace(record, run=more)


def over(record: RunRecord) -> RunRecord:
    """Record that nothing is left to do."""
    return replace(record, phase=Phase.OVER)


def _ended(record: RunRecord, state: RunState, code: str, message: str, at: str) -> RunRecord:
    run = replace(record.run, state=state, code=code, message=clip(message), finished_at=at)
    phase = Phase.PRUNING if state is RunState.TAKEN else Phase.OVER
    return replace(record, run=run, phase=phase)


def _is_vetoed(entry: JournalEntry) -> bool:
    return Step.RUN_PRE in entry.taken and Step.SNAPSHOT not in entry.taken
