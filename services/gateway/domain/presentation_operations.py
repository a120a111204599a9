"""Operations as the instances API shows them; how a failure reads depends on the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from services.gateway.domain.error_boundary import NOT_RENDERABLE, ErrorBoundary, Subject
from services.gateway.domain.naming import encodable
from shared.contracts.operations import Operation, State

View = Callable[[Operation], Any]


def encoded_operation(operation: Operation, view: View, boundary: ErrorBoundary) -> bytes:
    """Return an operation as JSON by `view`, and with the least there is where that fails."""
    return boundary.render(
        Subject("operation", operation.host, operation.operation_id),
        lambda: msgspec.json.encode(view(operation)),
        lambda: msgspec.json.encode(bare_operation(operation)),
    )


def bare_operation(operation: Operation) -> dict[str, Any]:
    """Return an operation that cannot be rendered: its place and its state."""
    return {
        "id": encodable(operation.operation_id),
        "kind": operation.kind,
        "state": operation.state,
        "final": operation.final,
        "needs_attention": operation.state == State.UNKNOWN,
        "host": operation.host,
        "project": encodable(operation.project),
        "instance": encodable(operation.instance),
        "uuid": encodable(operation.uuid),
        "principal": encodable(operation.principal),
        "progress": None,
        "step": "",
        "changed": operation.changed,
        "overdue": operation.overdue,
        "failure": None,
        "waits_for": None,
        "placement": None,
        "correlation_id": "",
        "created_at_utc": None,
        "accepted_at_utc": None,
        "started_at_utc": None,
        "finished_at_utc": None,
        "error": NOT_RENDERABLE,
    }
