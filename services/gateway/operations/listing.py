"""Joins what the database holds of operations with newer news of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.gateway.operations.merge import learned
from services.gateway.ports import OperationFilter
from shared.contracts.operations import Operation


def newest(
    stored: Sequence[Operation], recent: Iterable[Operation], wanted: OperationFilter
) -> list[Operation]:
    """Return the operations that fit, newest first, as the newest news has them.

    `recent` holds what the database may not have yet.
    """
    news = {_key(operation): operation for operation in recent}
    for operation in stored:
        fresher = news.get(_key(operation))
        news[_key(operation)] = learned(operation, fresher) if fresher else operation
    fitting = [operation for operation in news.values() if _fits(operation, wanted)]
    return sorted(fitting, key=lambda o: o.created_at, reverse=True)[: wanted.limit]


def _fits(operation: Operation, wanted: OperationFilter) -> bool:
    asked = (
        (wanted.host, operation.host),
        (wanted.project, operation.project),
        (wanted.instance, operation.instance),
        (wanted.state, operation.state),
        (wanted.kind, operation.kind),
    )
    return all(value is None or value == actual for value, actual in asked)


def _key(operation: Operation) -> tuple[str, str]:
    """Return what is one operation: another host may claim its id, and is not believed."""
    return operation.host, operation.operation_id
