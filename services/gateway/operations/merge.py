"""The rules of an operation on the gateway's side: what an answer proves, which copy is true."""

from __future__ import annotations

from msgspec.structs import replace

from shared.contracts.codec import encode
from shared.contracts.errors import (
    DatabaseUnavailable,
    FleetError,
    OutcomeUnknown,
    PermanentError,
    TemporaryError,
    UnreadableMessage,
    WorkerFailed,
)
from shared.contracts.operations import (
    Arguments,
    Failure,
    Operation,
    State,
    Submission,
    failure_of,
    merged,
)


def submission(operation: Operation, start_by: float, start_within_s: float) -> Submission:
    """Return the order to the worker, without its secrets; `start_by` is a Unix time.

    Why this host was chosen stays here: it may name the hosts that have refused.
    """
    return Submission(
        operation_id=operation.operation_id,
        host=operation.host,
        kind=operation.kind,
        instance=operation.instance,
        uuid=operation.uuid,
        principal=operation.principal,
        start_by=f"{start_by:.3f}",
        start_within_s=start_within_s,
        project=operation.project,
        arguments=replace(operation.arguments, placement=""),
        correlation_id=operation.correlation_id,
    )


def proves_not_started(error: FleetError) -> bool:
    """Whether a submission that ended with this error was certainly not carried out.

    A worker that crashed (an error of no named kind), that could not commit, or whose answer cannot
    be read may have begun.
    """
    unsure = (OutcomeUnknown, UnreadableMessage, DatabaseUnavailable, WorkerFailed)
    return not isinstance(error, unsure) and type(error) is not PermanentError


def frees_key(error: FleetError) -> bool:
    """Whether the request may be sent again under the same key: the same may work later."""
    return isinstance(error, TemporaryError)


def as_rejected(operation: Operation, error: FleetError, finished_at: str) -> Operation:
    """Return the operation as one that was never started."""
    return replace(
        operation, state=State.REJECTED, failure=failure_of(error), finished_at=finished_at
    )


def cap_created_at(reported: Operation, now: str) -> Operation:
    """Return a host's report as one that was not created later than now (RFC 3339 in UTC).

    Else it would be the newest one of every list for ever.
    """
    return replace(reported, created_at=now) if reported.created_at > now else reported


def shrink_to(operation: Operation, size: int) -> Operation:
    """Return the operation as one of so many bytes at most: without what takes the most room.

    What the instance became is in the view, an SSH key in the instance.
    """
    for smaller in (_without_after, _without_ssh_keys, _without_reasons, _without_arguments):
        if len(encode(operation)) <= size:
            return operation
        operation = smaller(operation)
    return operation


def _without_after(operation: Operation) -> Operation:
    return replace(operation, after=None)


def _without_ssh_keys(operation: Operation) -> Operation:
    ordered = operation.arguments.create
    if ordered is None:
        return operation
    arguments = replace(operation.arguments, create=replace(ordered, ssh_keys=()))
    return replace(operation, arguments=arguments)


def _without_reasons(operation: Operation) -> Operation:
    failure = operation.failure
    return replace(operation, failure=Failure(code=failure.code) if failure else None)


def _without_arguments(operation: Operation) -> Operation:
    return replace(operation, arguments=Arguments())


def merge_report(known: Operation, reported: Operation) -> Operation:
    """Return what is true now.

    A record of the same id on another host is that host's invention.
    """
    return merged(known, reported) if reported.host == known.host else known
