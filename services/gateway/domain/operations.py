"""The rules of an operation on the gateway's side: what an answer proves, which copy is true."""

from __future__ import annotations

from msgspec.structs import replace

from shared.contracts.errors import (
    DatabaseUnavailable,
    FleetError,
    OutcomeUnknown,
    PermanentError,
    TemporaryError,
    UnreadableMessage,
    WorkerFailed,
)
from shared.contracts.operations import Operation, State, Submission, failure_of, merged


def submission(operation: Operation, start_by: float) -> Submission:
    """Return the order to the worker, without its secrets; `start_by` is a Unix time."""
    return Submission(
        operation_id=operation.operation_id,
        host=operation.host,
        kind=operation.kind,
        instance=operation.instance,
        uuid=operation.uuid,
        principal=operation.principal,
        start_by=f"{start_by:.3f}",
        project=operation.project,
        arguments=operation.arguments,
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


def rejected(operation: Operation, error: FleetError, finished_at: str) -> Operation:
    """Return the operation as one that was never started."""
    return replace(
        operation, state=State.REJECTED, failure=failure_of(error), finished_at=finished_at
    )


def learned(known: Operation, reported: Operation) -> Operation:
    """Return what is true now.

    A record of the same id on another host is that host's invention.
    """
    return merged(known, reported) if reported.host == known.host else known
