"""What the caller of a synchronous endpoint is told about its operation."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from services.gateway.bilingual import Language
from services.gateway.http import messages
from services.gateway.http.dependencies import VERSION_HEADER
from services.gateway.http.errors import HttpError, told
from services.gateway.http.problem_details import problem
from services.gateway.responses.operations import Result
from shared.contracts.bounds import clip
from shared.contracts.errors import (
    Cancelled,
    FleetError,
    OperationRefused,
    WorkerFailed,
    error_from_code,
)
from shared.contracts.operations import Failure, Kind, Operation, State
from shared.contracts.worker_api import OUTCOMES

# Of what a host says of a failure.
LONGEST_VALUE = 500


def answer(operation: Operation, language: Language) -> Response:
    """Return success, that it goes on (202), or the error that it ended with."""
    headers = told_beside(operation)
    if operation.state == State.DONE:
        return _result(operation, _outcome(operation), language, headers)
    if not operation.final:
        return _result(operation, "unfinished", language, headers)
    return problem(told(error_of(operation), language), headers)


def told_beside(operation: Operation) -> dict[str, str]:
    """Return the headers of an answer that tells what became of an operation."""
    return {**addresses(operation), **_version(operation)}


def addresses(operation: Operation) -> dict[str, str]:
    """Return the headers that name an operation."""
    # A host may call an operation of its own as it likes; no header can carry every text.
    quoted = quote(operation.operation_id, safe="", errors="replace")
    return {"location": f"/api/operations/{quoted}", "x-operation-id": quoted}


def _version(operation: Operation) -> dict[str, str]:
    """Return what makes another gateway's reads wait until they show the outcome."""
    if not operation.final or not operation.sequence:
        return {}
    return {VERSION_HEADER: f"{operation.host}:{operation.sequence}"}


def error_of(operation: Operation) -> FleetError | HttpError:
    """Return why an operation that has ended did not succeed."""
    if operation.state == State.UNKNOWN:
        return HttpError("operation_unknown", operation_id=operation.operation_id)
    if operation.failure is not None:
        return _rebuilt(operation, operation.failure)
    if operation.state == State.CANCELLED:
        return Cancelled()
    return OperationRefused(operation.operation_id)


def _rebuilt(operation: Operation, failure: Failure) -> FleetError:
    """Return a failure as the error that it was, as far as its host has cause to name it."""
    values = [clip(value, LONGEST_VALUE) for value in failure.values]
    error = error_from_code(failure.code, values)
    # What was rejected is told by a gateway, all else by the worker.
    if operation.state is State.REJECTED or type(error) in OUTCOMES:
        return error
    return WorkerFailed(operation.host, clip(f"{failure.code}: {error}", LONGEST_VALUE))


def _outcome(operation: Operation) -> str:
    if operation.kind is Kind.STOP and operation.gone:
        return "gone"
    return "done" if operation.changed else "already"


def _result(
    operation: Operation, outcome: str, language: Language, headers: dict[str, str]
) -> Response:
    message = messages.translate(
        f"{operation.kind.value}.{outcome}",
        language,
        name=operation.instance,
        operation_id=operation.operation_id,
    )
    finished = outcome != "unfinished"
    return Response(
        msgspec.json.encode(Result(success=finished, message=message)),
        status_code=200 if finished else 202,
        headers={"content-language": language, **headers},
        media_type="application/json",
    )
