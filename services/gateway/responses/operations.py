"""Operations as the instances API shows them; how a failure reads depends on the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from services.gateway.error_boundary import NOT_RENDERABLE, EntrySubject, ErrorBoundary
from shared.contracts.bounds import clip
from shared.contracts.operations import Operation

View = Callable[[Operation], dict[str, Any]]


def encoded_operation(operation: Operation, view: View, boundary: ErrorBoundary) -> bytes:
    """Return an operation as JSON by `view`; where that fails, its place and its state."""

    def bare_view() -> dict[str, Any]:
        return {**view(bare_operation(operation)), "failure": None, "error": NOT_RENDERABLE}

    return boundary.render(
        EntrySubject("operation", operation.host, operation.operation_id),
        lambda: msgspec.json.encode(view(operation)),
        lambda: msgspec.json.encode(bare_view()),
    )


def bare_operation(operation: Operation) -> Operation:
    """Return an operation that cannot be rendered with nothing but its place and state."""
    return Operation(
        operation_id=clip(operation.operation_id),
        host=operation.host,
        kind=operation.kind,
        instance=clip(operation.instance),
        uuid=clip(operation.uuid),
        principal=clip(operation.principal),
        state=operation.state,
        project=clip(operation.project),
        changed=operation.changed,
        overdue=operation.overdue,
        gone=operation.gone,
    )
