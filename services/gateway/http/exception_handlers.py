"""From a failure, whichever side it comes from, to its answer in the form of the API asked."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from services.gateway.http.dependencies import now_of
from services.gateway.http.errors import HttpError, LocalizedError, language_of, told, told_of_input
from services.gateway.http.middleware.methods import allowed
from services.gateway.http.problem_details import problem
from services.gateway.http.v1 import envelope
from shared.contracts.errors import FleetError


def install(app: FastAPI) -> None:
    """Make the app answer every expected failure."""
    for kind in (FleetError, HttpError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer)


def answer(
    connection: HTTPConnection,
    error: FleetError | HttpError,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for an error; `headers` are told beside its own."""
    if envelope.is_of(connection.url.path):
        error = envelope.in_its_words(error)
    return _formed(connection, told(error, language_of(connection)), headers)


async def _answer(connection: HTTPConnection, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        return _formed(connection, told_of_input(error, language_of(connection)))
    if isinstance(error, HTTPException):
        error = _of_http(error, connection)
    if isinstance(error, FleetError | HttpError):
        return answer(connection, error)
    raise error


def _formed(
    connection: HTTPConnection, failed: LocalizedError, headers: Mapping[str, str] | None = None
) -> Response:
    if envelope.is_of(connection.url.path):
        return envelope.failure(failed, now_of(connection), headers)
    return problem(failed, headers)


def _of_http(error: HTTPException, connection: HTTPConnection) -> HttpError:
    codes = {404: "route_not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "bad_request")
    return HttpError(
        code,
        headers={"allow": allowed(connection)} if code == "method_not_allowed" else error.headers,
        path=connection.url.path,
        method=connection.scope.get("method", ""),
    )
