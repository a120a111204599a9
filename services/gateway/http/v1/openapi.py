"""How OpenAPI describes the answers and errors of the VM API v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.gateway.bilingual import both
from services.gateway.http.openapi import (
    Responses,
    described_body,
    example_text,
    listed,
    outcomes_by,
)
from services.gateway.http.schemas import Answer, SchemaOf
from services.gateway.http.v1.envelope import named
from services.gateway.responses.errors import VmFailure

TIME = "2026-01-23T03:30:00Z"


def answers(data: type[Answer], status: int = 200) -> Responses:
    """Return OpenAPI's description of a success, by the struct that the envelope holds."""
    return {status: described_body(SchemaOf(data, enveloped=True), both("成功", "Success"))}


def outcomes(data: type[Answer]) -> Responses:
    """Return OpenAPI's description of a change: of its success, and of one that goes on."""
    return outcomes_by(SchemaOf(data, enveloped=True))


def failures(*codes: str) -> Responses:
    """Return OpenAPI's description of these errors, with an example of each, and of all others."""
    statuses = sorted({named(code)[1] for code in codes})
    described: Responses = {
        status: _failure(code for code in codes if named(code)[1] == status) for status in statuses
    }
    others = both("其他错误", "Any other error")
    return {**described, "default": _failure(["internal_error"]) | {"description": others}}


def _failure(codes: Iterable[str]) -> dict[str, Any]:
    examples = {named(code)[0]: {"value": _example(code)} for code in codes}
    return described_body(SchemaOf(VmFailure), listed(examples), examples=examples)


def _example(code: str) -> dict[str, Any]:
    error = {"code": named(code)[0], "message": example_text(code), "details": {}}
    return {"success": False, "error": error, "timestamp": TIME}
