"""How OpenAPI describes what the routes have in common: the token, and the errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPBearer

from services.gateway.http import messages, models
from services.gateway.http.errors import STATUS

DESCRIPTION = """\
LXD管理面板API：一个接口管理多台未组成集群的 LXD（或 Incus）主机。

错误信息默认为中文；`Accept-Language: en` 时为英文。同步操作未能及时完成时返回 202，
`Location` 指向其操作。每个可用 GET 的路径也可用 HEAD；OPTIONS 列出路径可用的方法。
"""

TAGS = [
    {"name": "系统", "description": "服务、健康状况与宿主机"},
    {"name": "实例", "description": "实例的查询"},
    {"name": "实例操作", "description": "启动、停止、重启、暂停、恢复、删除"},
    {"name": "操作", "description": "已受理的请求及其结果"},
    {"name": "主机", "description": "集群中的各台主机"},
    {"name": "实时监控", "description": "WebSocket `/ws/monitor` 的一次性票据"},
    {"name": "虚拟机", "description": "VM API v1：虚拟机与容器的查询与更改"},
    {"name": "虚拟机快照", "description": "VM API v1：快照的查询、创建、恢复与删除"},
    {"name": "虚拟机监控", "description": "VM API v1：性能指标"},
    {"name": "指标", "description": "Prometheus 指标与抓取目标"},
]

# Only described here: the gate has looked at both before any route is reached.
TOKEN = [
    Depends(HTTPBearer(auto_error=False, description="FLEET_TOKEN_FILE 中的令牌")),
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False, description="同上")),
]

READING = ("unauthorized", "host_header_not_allowed", "internal_error")
CHANGING = (
    *READING,
    "bad_request",
    "origin_not_allowed",
    "body_too_large",
    "media_type_not_supported",
    "invalid_input",
)
# What any operation may be refused with or end in, beside what its kind knows.
OPERATING = (
    "operation_in_progress",
    "lxd_busy",
    "instance_replaced",
    "idempotency_key_reused",
    "lxd_refused",
    "no_effect",
    "operation_unknown",
    "worker_failed",
    "host_unreachable",
    "broker_unavailable",
    "database_unavailable",
    "host_busy",
    "step_interrupted",
    "step_timed_out",
)
FLEET = ("host_not_found", "invalid_input", "lxd_unavailable", "fleet_view_not_ready")


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of these errors, with an example of each."""
    statuses = sorted({STATUS[code] for code in codes})
    return {
        status: _answer(code for code in codes if STATUS[code] == status) for status in statuses
    }


def _answer(codes: Iterable[str]) -> dict[str, Any]:
    examples = {code: {"value": _example(code)} for code in dict.fromkeys(codes)}
    return {
        "model": models.Problem,
        "description": "、".join(examples),
        "content": {"application/json": {"examples": examples}},
    }


def _example(code: str) -> dict[str, str]:
    return {"detail": messages.TEXTS[code].zh.format_map(EXAMPLE_VALUES), "code": code}


EXAMPLE_VALUES = {
    "name": "test1",
    "ids": "vm-001, vm-002",
    "instance": "test1",
    "host": "h1",
    "projects": "default, shop",
    "hosts": "h1, h2",
    "summary": "h1: memory (2048 > 1024 MiB)",
    "image": "images:debian/12",
    "port": "30000",
    "operation_id": "0b6e3a52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
    "origin": "https://panel.example",
    "limit": 1048576,
    "field": "wait",
    "rule": "须为数字",
    "reason": "disk quota exceeded",
    "step": "stop",
    "resource": "memory",
    "wanted": "2147483648",
    "free": "1073741824",
    "snapshot": "backup-2024-01-01",
    "key": "order-7",
    "path": "/api/nothing",
    "method": "PATCH",
    "missing": "database",
    "most": "32",
}
