"""Joins what the database holds of operations with newer news of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.gateway.domain.operations import learned
from services.gateway.ports import OperationFilter
from shared.contracts.operations import Operation

# No time of a request is after this.
NEVER = "9999"


def newest(
    stored: Sequence[Operation],
    recent: Iterable[Operation],
    wanted: OperationFilter,
    latest: str = NEVER,
) -> list[Operation]:
    """Return the operations that fit, newest first, as the newest news has them.

    `recent` holds what the database may not have yet. One that says it was created after `latest`
    comes last: a host that dates its own ahead must not hide those of the others.
    """
    news = {_key(operation): operation for operation in recent}
    for operation in stored:
        fresher = news.get(_key(operation))
        news[_key(operation)] = learned(operation, fresher) if fresher else operation
    fitting = [operation for operation in news.values() if _fits(operation, wanted)]
    by_age = sorted(fitting, key=lambda each: _created(each, latest), reverse=True)
    return by_age[: wanted.limit]


def _created(operation: Operation, latest: str) -> str:
    return operation.created_at if operation.created_at <= latest else ""


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
