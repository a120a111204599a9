"""Operations: what became of the requests to change something."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from services.gateway.free_text import ONE_LINE
from services.gateway.http import models
from services.gateway.http.dependencies import Dependencies, Gateway, ProjectChoice, read
from services.gateway.http.errors import problem_text, tongue_of
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.instance_list import array
from services.gateway.http.messages import Language
from services.gateway.http.openapi import CHANGING, READING, TOKEN, problems
from services.gateway.http.operation_response import addresses, error_of
from services.gateway.operations.store import OperationFilter
from services.gateway.responses.operations import encoded_operation
from shared.contracts.operations import Kind, Operation, State, is_gone

LONGEST_WAIT_S = 60.0

router = APIRouter(prefix="/api/operations", tags=["操作"], dependencies=TOKEN)

# What a host id and an instance's name are made of; a database may refuse other characters.
Word = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9_-]*$"), WithoutControls]
Id = Annotated[
    Annotated[str, Field(max_length=255, pattern=ONE_LINE), WithoutControls],
    Path(alias="id", description="操作的 id"),
]


async def tongue(request: Request) -> Language:
    """Return the caller's language."""
    return tongue_of(request)


Tongue = Annotated[Language, Depends(tongue)]


@router.get(
    "",
    response_model=list[models.Operation],
    responses=problems(*READING, "invalid_input", "database_unavailable"),
    summary="获取操作列表",
)
async def operations(
    gateway: Gateway,
    tongue: Tongue,
    host: Annotated[Word | None, Query()] = None,
    instance: Annotated[Word | None, Query()] = None,
    state: State | None = None,
    kind: Kind | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    project: ProjectChoice = None,
) -> Response:
    """Return the newest operations that fit, newest first."""
    wanted = OperationFilter(host, instance, state, kind, limit, project)
    found = await gateway.operations.list(wanted)
    return read(array(_encoded(gateway, operation, tongue) for operation in found))


@router.get(
    "/{id}",
    response_model=models.Operation,
    responses=problems(*READING, "invalid_input", "operation_not_found", "database_unavailable"),
    summary="获取操作",
)
async def operation(
    gateway: Gateway,
    tongue: Tongue,
    operation_id: Id,
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False, description="至多等待其结束的秒数"),
    ] = 0.0,
) -> Response:
    """Return an operation once it has ended, or as it stands when the wait is over."""
    if wait > 0:
        return _answer(gateway, await gateway.operations.wait(operation_id, wait), tongue)
    return _answer(gateway, await gateway.operations.get(operation_id), tongue)


@router.post(
    "/{id}/cancel",
    response_model=models.Operation,
    responses=problems(
        *CHANGING,
        "operation_not_found",
        "operation_not_cancellable",
        "host_unreachable",
        "broker_unavailable",
        "outcome_unknown",
    ),
    summary="取消操作",
)
async def cancel(gateway: Gateway, tongue: Tongue, operation_id: Id) -> Response:
    """Ask for it to be cancelled; its state says whether it was."""
    return _answer(gateway, await gateway.operations.cancel(operation_id), tongue)


def view(operation: Operation, tongue: Language) -> dict[str, Any]:
    """Return an operation as callers see it."""
    return {
        "id": operation.operation_id,
        "kind": operation.kind,
        "state": operation.state,
        "final": operation.final,
        "needs_attention": operation.state == State.UNKNOWN,
        "host": operation.host,
        "project": operation.project,
        "instance": operation.instance,
        "uuid": operation.uuid,
        "principal": operation.principal,
        "progress": operation.progress,
        "step": operation.step,
        "changed": operation.changed,
        "gone": is_gone(operation),
        "overdue": operation.overdue,
        "failure": _failure(operation, tongue),
        "waits_for": operation.waits_for or None,
        "placement": operation.arguments.placement or None,
        "correlation_id": operation.correlation_id,
        "created_at_utc": operation.created_at or None,
        "accepted_at_utc": operation.accepted_at or None,
        "started_at_utc": operation.started_at or None,
        "finished_at_utc": operation.finished_at or None,
    }


def _answer(gateway: Dependencies, operation: Operation, tongue: Language) -> Response:
    body = _encoded(gateway, operation, tongue)
    return Response(body, headers=addresses(operation), media_type="application/json")


def _encoded(gateway: Dependencies, operation: Operation, tongue: Language) -> bytes:
    return encoded_operation(operation, lambda each: view(each, tongue), gateway.boundary)


def _failure(operation: Operation, tongue: Language) -> dict[str, str | None] | None:
    if not operation.final or operation.state == State.DONE:
        return None
    error = error_of(operation)
    log = operation.failure.log if operation.failure else ""
    return {"code": error.code, "message": problem_text(error, tongue), "log": log or None}
