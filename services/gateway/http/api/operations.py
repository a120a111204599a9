"""Operations: what became of the requests to change something."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from services.gateway.bilingual import Language, both
from services.gateway.free_text import ONE_LINE
from services.gateway.http.dependencies import Dependencies, Gateway, ProjectChoice, read
from services.gateway.http.errors import language_of, problem_text
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.instance_list import array
from services.gateway.http.openapi import CHANGING, OPERATIONS, READING, TOKEN, answers, problems
from services.gateway.http.operation_response import addresses, error_of
from services.gateway.operations.store import OperationFilter
from services.gateway.responses.operations import (
    OperationFailure,
    OperationView,
    encoded_operation,
    operation_view,
)
from shared.contracts.operations import Kind, Operation, State

LONGEST_WAIT_S = 60.0

router = APIRouter(prefix="/api/operations", tags=[OPERATIONS], dependencies=TOKEN)

# What a host id and an instance's name are made of; a database may refuse other characters.
Word = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9_-]*$"), WithoutControls]
Id = Annotated[
    Annotated[str, Field(max_length=255, pattern=ONE_LINE), WithoutControls],
    Path(alias="id", description=both("操作的 id", "Id of the operation")),
]


async def caller_language(request: Request) -> Language:
    """Return the caller's language."""
    return language_of(request)


CallerLanguage = Annotated[Language, Depends(caller_language)]


@router.get(
    "",
    responses=answers(OperationView, many=True)
    | problems(*READING, "invalid_input", "database_unavailable"),
    summary=both("获取操作列表", "List operations"),
)
async def operations(
    gateway: Gateway,
    language: CallerLanguage,
    host: Annotated[Word | None, Query()] = None,
    instance: Annotated[Word | None, Query()] = None,
    state: State | None = None,
    kind: Kind | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    project: ProjectChoice = None,
) -> Response:
    """Return the newest matching operations, newest first.

    返回符合条件的最新操作，最新的在前。
    """
    wanted = OperationFilter(host, instance, state, kind, limit, project)
    found = await gateway.operations.list(wanted)
    return read(array(_encoded(gateway, operation, language) for operation in found))


@router.get(
    "/{id}",
    responses=answers(OperationView)
    | problems(*READING, "invalid_input", "operation_not_found", "database_unavailable"),
    summary=both("获取操作", "Get an operation"),
)
async def operation(
    gateway: Gateway,
    language: CallerLanguage,
    operation_id: Id,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=LONGEST_WAIT_S,
            allow_inf_nan=False,
            description=both("至多等待其结束的秒数", "Seconds to wait for its end at most"),
        ),
    ] = 0.0,
) -> Response:
    """Return an operation when it has ended, or as it stands after `wait` seconds.

    在操作结束时返回它；等待 `wait` 秒后仍未结束时返回当前状态。
    """
    if wait > 0:
        return _answer(gateway, await gateway.operations.wait(operation_id, wait), language)
    return _answer(gateway, await gateway.operations.get(operation_id), language)


@router.post(
    "/{id}/cancel",
    responses=answers(OperationView)
    | problems(
        *CHANGING,
        "operation_not_found",
        "operation_not_cancellable",
        "host_unreachable",
        "broker_unavailable",
        "outcome_unknown",
    ),
    summary=both("取消操作", "Cancel an operation"),
)
async def cancel(gateway: Gateway, language: CallerLanguage, operation_id: Id) -> Response:
    """Ask for an operation to be cancelled; its state tells whether it was.

    请求取消操作；是否已取消见其状态。
    """
    return _answer(gateway, await gateway.operations.cancel(operation_id), language)


def view(operation: Operation, language: Language) -> OperationView:
    """Return an operation as callers see it, in their language."""
    return operation_view(operation, _failure(operation, language))


def _answer(gateway: Dependencies, operation: Operation, language: Language) -> Response:
    body = _encoded(gateway, operation, language)
    return Response(body, headers=addresses(operation), media_type="application/json")


def _encoded(gateway: Dependencies, operation: Operation, language: Language) -> bytes:
    return encoded_operation(operation, lambda each: view(each, language), gateway.boundary)


def _failure(operation: Operation, language: Language) -> OperationFailure | None:
    if not operation.final or operation.state == State.DONE:
        return None
    error = error_of(operation)
    log = operation.failure.log if operation.failure else ""
    return OperationFailure(error.code, problem_text(error, language), log or None)
