"""Operations as the instances API shows them; how a failure reads depends on the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.gateway.bilingual import both
from services.gateway.error_boundary import NOT_RENDERABLE, EntrySubject, ErrorBoundary
from services.gateway.responses.fields import NotRenderable, described
from shared.contracts.bounds import clip
from shared.contracts.operations import Operation, State, is_gone


class Result(Struct, frozen=True, kw_only=True):
    """What became of a request; the operation's address is in `Location`.

    请求的结果；操作的地址在 `Location` 中。
    """

    success: bool
    message: str
    data: None = None

    @classmethod
    def examples(cls) -> list[Result]:
        """Return examples for OpenAPI."""
        return [Result(success=True, message=both("实例 test1 启动成功", "Instance test1 started"))]


class OperationFailure(Struct, frozen=True):
    """Why an operation did not succeed.

    操作未成功的原因。
    """

    code: str
    message: str
    log: Annotated[
        str | None,
        described(
            "启动失败时 LXD 日志的最后几行", "The last lines of LXD's log where a start failed"
        ),
    ]


class OperationView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One accepted request to change something; times in UTC, null until they happen.

    一个已受理的更改请求；时间为 UTC，未发生时为 null。
    """

    id: str
    kind: str
    state: str
    final: bool
    needs_attention: Annotated[
        bool,
        described("结果未知，需人工检查", "Its outcome is unknown, somebody has to look"),
    ]
    host: str
    project: str
    instance: str
    uuid: str
    principal: str
    progress: int | None
    step: str
    changed: Annotated[
        bool,
        described("false：实例原本就是所要的状态", "false: the instance was as requested already"),
    ]
    gone: Annotated[
        bool,
        described(
            "实例已不存在：已删除，或是停止即删除的临时实例",
            "The instance exists no more: it was deleted, or it was ephemeral and stopped",
        ),
    ]
    overdue: bool
    failure: OperationFailure | None
    waits_for: Annotated[
        str | None,
        described("在此创建操作完成后才执行", "The creation after which it is carried out"),
    ]
    placement: Annotated[str | None, described("选择该主机的理由", "Why this host was chosen")]
    correlation_id: str
    created_at_utc: str | None
    accepted_at_utc: str | None
    started_at_utc: str | None
    finished_at_utc: str | None
    error: NotRenderable = None

    @classmethod
    def examples(cls) -> list[OperationView]:
        """Return examples for OpenAPI: one that is done, and one that failed."""
        done = OperationView(
            id="0b6e3a52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            kind="start",
            state="done",
            final=True,
            needs_attention=False,
            host="h1",
            project="default",
            instance="test1",
            uuid="9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            principal="admin",
            progress=100,
            step="",
            changed=True,
            gone=False,
            overdue=False,
            failure=None,
            waits_for=None,
            placement=None,
            correlation_id="5f2d",
            created_at_utc="2026-01-23T03:30:00Z",
            accepted_at_utc="2026-01-23T03:30:00Z",
            started_at_utc="2026-01-23T03:30:00Z",
            finished_at_utc="2026-01-23T03:30:01Z",
        )
        running = both("实例 test1 正在运行", "Instance test1 is running")
        failure = OperationFailure("instance_running", running, None)
        failed = replace(done, kind="delete", state="failed", changed=False, failure=failure)
        return [done, failed]


View = Callable[[Operation], OperationView]


def operation_view(operation: Operation, failure: OperationFailure | None) -> OperationView:
    """Return an operation as callers see it, with its failure in their language."""
    return OperationView(
        id=operation.operation_id,
        kind=operation.kind,
        state=operation.state,
        final=operation.final,
        needs_attention=operation.state == State.UNKNOWN,
        host=operation.host,
        project=operation.project,
        instance=operation.instance,
        uuid=operation.uuid,
        principal=operation.principal,
        progress=operation.progress,
        step=operation.step,
        changed=operation.changed,
        gone=is_gone(operation),
        overdue=operation.overdue,
        failure=failure,
        waits_for=operation.waits_for or None,
        placement=operation.arguments.placement or None,
        correlation_id=operation.correlation_id,
        created_at_utc=operation.created_at or None,
        accepted_at_utc=operation.accepted_at or None,
        started_at_utc=operation.started_at or None,
        finished_at_utc=operation.finished_at or None,
    )


def encoded_operation(operation: Operation, view: View, boundary: ErrorBoundary) -> bytes:
    """Return an operation as JSON by `view`; where that fails, its place and its state."""

    def bare_view() -> OperationView:
        return replace(view(bare_operation(operation)), failure=None, error=NOT_RENDERABLE)

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
