"""LXD's envelopes around answers, and what it takes as a request's body."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.lxd_double.errors import Refused
from tests.lxd_double.operations import Operation


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return a request's JSON object; refuse anything else."""
    try:
        body = json.loads(await request.read())
    except ValueError as exc:
        raise Refused(str(exc)) from exc
    if not isinstance(body, dict):
        raise Refused("json: cannot unmarshal the value into a Go value")
    return body


def sync(metadata: object) -> web.Response:
    """Answer at once."""
    return web.json_response(
        {
            "type": "sync",
            "status": "Success",
            "status_code": 200,
            "operation": "",
            "error_code": 0,
            "error": "",
            "metadata": metadata,
        }
    )


def asynchronous(operation: Operation) -> web.Response:
    """Answer that an operation has begun."""
    return web.json_response(
        {
            "type": "async",
            "status": "Operation created",
            "status_code": 100,
            "operation": operation.url,
            "error_code": 0,
            "error": "",
            "metadata": operation.rendered(),
        },
        status=202,
        headers={"Location": operation.url},
    )


def error(text: str, status: int, http_status: int = 0) -> web.Response:
    """Refuse; `http_status` is that of the answer's head where it is another one."""
    return web.json_response(
        {
            "type": "error",
            "status": "",
            "status_code": 0,
            "operation": "",
            "error_code": status,
            "error": text,
            "metadata": None,
        },
        status=http_status or status,
        headers={"X-Content-Type-Options": "nosniff"},
    )
