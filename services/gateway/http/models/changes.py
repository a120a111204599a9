"""Changes: results, operations, tickets, and errors."""

from __future__ import annotations

from pydantic import BaseModel, Field

from services.gateway.http.models.example import Error, with_example


class Result(BaseModel):
    """What became of a request; the operation's address is in `Location`."""

    model_config = with_example({"success": True, "message": "实例 test1 启动成功", "data": None})
    success: bool
    message: str
    data: None


class NoFields(BaseModel):
    """A body that says nothing; actions need none."""

    model_config = with_example({})


class OperationFailure(BaseModel):
    """Why an operation did not succeed."""

    model_config = with_example(
        {"code": "instance_running", "message": "实例 test1 正在运行", "log": None}
    )
    code: str
    message: str
    log: str | None = Field(description="启动失败时 LXD 日志的最后几行")


class Operation(BaseModel):
    """One accepted request to change something; times in UTC, null until they happen."""

    model_config = with_example(
        {
            "id": "0b6e3a52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            "kind": "start",
            "state": "done",
            "final": True,
            "needs_attention": False,
            "host": "h1",
            "project": "default",
            "instance": "test1",
            "uuid": "9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            "principal": "admin",
            "progress": 100,
            "step": "",
            "changed": True,
            "gone": False,
            "overdue": False,
            "failure": None,
            "waits_for": None,
            "placement": None,
            "correlation_id": "5f2d",
            "created_at_utc": "2026-01-23T03:30:00Z",
            "accepted_at_utc": "2026-01-23T03:30:00Z",
            "started_at_utc": "2026-01-23T03:30:00Z",
            "finished_at_utc": "2026-01-23T03:30:01Z",
        }
    )
    id: str
    kind: str
    state: str
    final: bool
    needs_attention: bool = Field(description="结果未知，需人工检查")
    host: str
    project: str
    instance: str
    uuid: str
    principal: str
    progress: int | None
    step: str
    changed: bool = Field(description="false：实例原本就是所要的状态")
    gone: bool = Field(description="实例已不存在：已删除，或是停止即删除的临时实例")
    overdue: bool
    failure: OperationFailure | None
    waits_for: str | None = Field(description="在此创建操作完成后才执行")
    placement: str | None = Field(description="选择该主机的理由")
    correlation_id: str
    created_at_utc: str | None
    accepted_at_utc: str | None
    started_at_utc: str | None
    finished_at_utc: str | None
    error: Error = None


class Ticket(BaseModel):
    """A one-time ticket for one WebSocket: `/ws/monitor?ticket=...`."""

    model_config = with_example({"ticket": "pV3x...", "expires_in_s": 30})
    ticket: str
    expires_in_s: int


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = with_example({"field": "wait", "message": "不能大于 60"})
    field: str
    message: str


class Problem(BaseModel):
    """The body of every error; `code` is stable."""

    model_config = with_example({"detail": "实例 test1 不存在", "code": "instance_not_found"})
    detail: str
    code: str
    errors: list[FieldError] = Field(default=[], description="仅 422：各字段的错误")
