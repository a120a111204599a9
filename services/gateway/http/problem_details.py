"""Errors in the form of the instances API's document.

A body always has `detail`, one string; `code` is ours and stable, `errors` lists the fields of
bad input.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from services.gateway.http.errors import STATUS, LocalizedError
from services.gateway.responses.errors import Problem


def problem(failed: LocalizedError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for a failure; `headers` are told beside its own."""
    return Response(
        msgspec.json.encode(Problem(failed.text, failed.code, failed.fields)),
        status_code=STATUS[failed.code],
        headers={**failed.headers, **(headers or {})},
        media_type="application/json",
    )
