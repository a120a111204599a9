"""How OpenAPI describes what the routes have in common: the token, answers, and errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPBearer

from services.gateway.bilingual import both
from services.gateway.http import messages
from services.gateway.http.errors import STATUS
from services.gateway.http.schemas import Answer, SchemaOf
from services.gateway.responses.errors import Problem

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = both(
    """\
LXD管理面板API：一个接口管理多台未组成集群的 LXD（或 Incus）主机。

本文档与错误信息默认为中文；`Accept-Language: en` 时为英文。同步操作未能及时完成时返回 202，
`Location` 指向其操作。每个可用 GET 的路径也可用 HEAD；OPTIONS 列出路径可用的方法。
""",
    """\
One API for many LXD (or Incus) hosts that are not a cluster.

This document and the texts of errors are Chinese by default, and English with
`Accept-Language: en`. A synchronous request that does not end in time is answered with 202, and
`Location` is the address of its operation. Every path with GET has HEAD as well; OPTIONS lists the
methods of a path.
""",
)

SYSTEM = both("系统", "System")
INSTANCES = both("实例", "Instances")
INSTANCE_ACTIONS = both("实例操作", "Instance actions")
OPERATIONS = both("操作", "Operations")
HOSTS = both("主机", "Hosts")
MONITORING = both("实时监控", "Live monitoring")
VMS = both("虚拟机", "VMs")
VM_SNAPSHOTS = both("虚拟机快照", "VM snapshots")
SNAPSHOT_POLICIES = both("快照策略", "Snapshot policies")
VM_METRICS = both("虚拟机监控", "VM metrics")
METRICS = both("指标", "Metrics")

TAGS = [
    {"name": name, "description": description}
    for name, description in (
        (SYSTEM, both("服务、健康状况与宿主机", "The service, its health, and the host machine")),
        (INSTANCES, both("实例的查询", "Reading instances")),
        (
            INSTANCE_ACTIONS,
            both(
                "启动、停止、重启、暂停、恢复、删除",
                "Start, stop, restart, pause, resume and delete",
            ),
        ),
        (OPERATIONS, both("已受理的请求及其结果", "Accepted requests and what became of them")),
        (HOSTS, both("集群中的各台主机", "The hosts of the fleet")),
        (
            MONITORING,
            both(
                "WebSocket `/ws/monitor` 的一次性票据",
                "One-time tickets for the WebSocket `/ws/monitor`",
            ),
        ),
        (
            VMS,
            both(
                "VM API v1：虚拟机与容器的查询与更改",
                "VM API v1: reading and changing virtual machines and containers",
            ),
        ),
        (
            VM_SNAPSHOTS,
            both(
                "VM API v1：快照的查询、创建、恢复与删除",
                "VM API v1: listing, creating, restoring and deleting snapshots",
            ),
        ),
        (
            SNAPSHOT_POLICIES,
            both(
                "VM API v1：定时快照、保留规则与各实例的保护状态",
                "VM API v1: scheduled snapshots, what is kept of them, and how instances are "
                "protected",
            ),
        ),
        (VM_METRICS, both("VM API v1：性能指标", "VM API v1: performance metrics")),
        (
            METRICS,
            both("Prometheus 指标与抓取目标", "Metrics for Prometheus, and what it is to scrape"),
        ),
    )
]

# The enumerations of the contracts, whose docstrings are English.
ENUMERATIONS = {
    "Kind": both("操作的种类，用 LXD 的名称。", "What an operation does, by LXD's names."),
    "State": both("操作所处的状态。", "The state of an operation."),
    "ConsoleType": both(
        "打开的内容：shell、文本控制台，或虚拟机的屏幕（SPICE）。",
        "What is opened: a shell, the text console, or the screen of a virtual machine (SPICE).",
    ),
}

# Only described here: the middleware has checked both before any route is reached.
TOKEN = [
    Depends(
        HTTPBearer(
            auto_error=False,
            description=both("FLEET_TOKEN_FILE 中的令牌", "The token in FLEET_TOKEN_FILE"),
        )
    ),
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False, description=both("同上", "The same"))),
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


def answers(answer: type[Answer], status: int = 200, *, many: bool = False) -> Responses:
    """Return OpenAPI's description of a success, by the struct that is its body."""
    return {status: described_body(SchemaOf(answer, many=many), both("成功", "Success"))}


def outcomes(answer: type[Answer]) -> Responses:
    """Return OpenAPI's description of a change: of its success, and of one that goes on."""
    return outcomes_by(SchemaOf(answer))


def outcomes_by(schema: SchemaOf) -> Responses:
    """Return the same for a body with this schema."""
    unfinished = both(
        "尚未完成；`Location` 指向操作",
        "Not finished yet; `Location` is the address of the operation",
    )
    return {
        200: described_body(schema, both("成功", "Success")),
        202: described_body(schema, unfinished),
    }


def problems(*codes: str) -> Responses:
    """Return OpenAPI's description of these errors, with an example of each."""
    statuses = sorted({STATUS[code] for code in codes})
    return {
        status: _problem(code for code in codes if STATUS[code] == status) for status in statuses
    }


def described_body(schema: SchemaOf, description: str, **more: Any) -> dict[str, Any]:
    """Return OpenAPI's description of one answer with a body in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema, **more}}}


def listed(codes: Iterable[str]) -> str:
    """Return the codes as a list in either language."""
    codes = list(codes)
    return both("、".join(codes), ", ".join(codes))


def example_text(code: str) -> str:
    """Return the text of an error, as an example."""
    text, rule = messages.TEXTS[code], messages.TEXTS["float_type"]
    return both(
        text.zh.format_map({**EXAMPLE_VALUES, "rule": rule.zh}),
        text.en.format_map({**EXAMPLE_VALUES, "rule": rule.en}),
    )


def _problem(codes: Iterable[str]) -> dict[str, Any]:
    examples = {
        code: {"value": {"detail": example_text(code), "code": code}}
        for code in dict.fromkeys(codes)
    }
    return described_body(SchemaOf(Problem), listed(examples), examples=examples)


# What the texts of examples are about.
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
    "policy": "daily",
    "most": "32",
}
