"""The rules of operations on the gateway: what an error proves, and how reports are merged."""

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
    merge,
)


def submission(operation: Operation, start_by: float, start_within_s: float) -> Submission:
    """Return the submission to the worker, without secrets; `start_by` is a Unix time.

    The reason of the placement is left out: it may name other hosts.
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
    """Whether a submission that failed with this error was certainly not started.

    A worker that crashed (an unnamed error), that could not commit, or whose reply is unreadable
    may have started it.
    """
    unsure = (OutcomeUnknown, UnreadableMessage, DatabaseUnavailable, WorkerFailed)
    return not isinstance(error, unsure) and type(error) is not PermanentError


def frees_key(error: FleetError) -> bool:
    """Whether the request may be repeated under the same key, as it may work later."""
    return isinstance(error, TemporaryError)


def as_rejected(operation: Operation, error: FleetError, finished_at: str) -> Operation:
    """Return the operation as rejected, never started."""
    return replace(
        operation, state=State.REJECTED, failure=failure_of(error), finished_at=finished_at
    )


def cap_created_at(report: Operation, now: str) -> Operation:
    """Return a report created no later than now (RFC 3339 in UTC).

    Otherwise it would be the first of every list for ever.
    """
    return replace(report, created_at=now) if report.created_at > now else report


def shrink_to(operation: Operation, size: int) -> Operation:
    """Return the operation in at most `size` bytes, dropping its largest parts until it fits.

    The resulting instance is in the fleet view anyway, an SSH key in the instance.
    """
    for smaller in (_without_after, _without_ssh_keys, _without_reasons, _without_arguments):
        if len(encode(operation)) <= size:
            return operation
        operation = smaller(operation)
    return operation


def _without_after(operation: Operation) -> Operation:
    return replace(operation, after=None)


def _without_ssh_keys(operation: Operation) -> Operation:
    new_instance = operation.arguments.create
    if new_instance is None:
        return operation
    arguments = replace(operation.arguments, create=replace(new_instance, ssh_keys=()))
    return replace(operation, arguments=arguments)


def _without_reasons(operation: Operation) -> Operation:
    failure = operation.failure
    return replace(operation, failure=Failure(code=failure.code) if failure else None)


def _without_arguments(operation: Operation) -> Operation:
    return replace(operation, arguments=Arguments())


def merge_report(current: Operation, report: Operation) -> Operation:
    """Return the operation after a report; one of another host is ignored."""
    return merge(current, report) if report.host == current.host else current


def log_fields(operation: Operation, error: FleetError) -> dict[str, str]:
    """Return the structured fields of a log line about a failed step of an operation."""
    return {"operation": operation.operation_id, "host": operation.host, "reason": str(error)}
