"""How OpenAPI describes the errors of the VM API v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.gateway.http import messages, models
from services.gateway.http.openapi import EXAMPLE_VALUES
from services.gateway.http.v1.envelope import named

TIME = "2026-01-23T03:30:00Z"


def failures(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of these errors, with an example of each, and of all others."""
    statuses = sorted({named(code)[1] for code in codes})
    described: dict[int | str, dict[str, Any]] = {
        status: _answer(code for code in codes if named(code)[1] == status) for status in statuses
    }
    return {**described, "default": _answer(["internal_error"]) | {"description": "其他错误"}}


def _answer(codes: Iterable[str]) -> dict[str, Any]:
    examples = {named(code)[0]: {"value": _example(code)} for code in codes}
    return {
        "model": models.VmFailure,
        "description": "、".join(examples),
        "content": {"application/json": {"examples": examples}},
    }


def _example(code: str) -> dict[str, Any]:
    message = messages.TEXTS[code].zh.format_map(EXAMPLE_VALUES)
    return {
        "success": False,
        "error": {"code": named(code)[0], "message": message, "details": {}},
        "timestamp": TIME,
    }
