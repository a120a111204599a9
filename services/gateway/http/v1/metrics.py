"""What a VM uses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.http.dependencies import Gateway, caught_up
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.openapi import TOKEN, VM_METRICS
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import Wanted
from services.gateway.http.v1.openapi import answers
from services.gateway.http.v1.vms import ONE
from services.gateway.responses.entry_cache import encoded
from services.gateway.responses.time_range import period
from services.gateway.responses.vm_metrics import VmMetrics, vm_metrics

Time = Annotated[str, Field(max_length=64), WithoutControls]
# With a zone, without one, a day, or nothing, which is the default.
TIME: dict[str, Any] = {
    "allOf": [
        {
            "anyOf": [
                {"format": "date-time"},
                {"pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$"},
                {"format": "date"},
                {"maxLength": 0},
            ]
        }
    ]
}

router = APIRouter(
    prefix=f"{PREFIX}/vms", tags=[VM_METRICS], dependencies=[*TOKEN, Depends(caught_up)]
)


@router.get(
    "/{id}/metrics",
    responses=answers(VmMetrics) | ONE,
    summary=both("获取虚拟机性能指标", "Get a VM's metrics"),
)
async def metrics(
    gateway: Gateway,
    found: Wanted,
    begins: Annotated[
        Time | None,
        Query(
            alias="from",
            description=both(
                "开始时间 (ISO 8601)；默认结束前一小时",
                "Begin (ISO 8601); by default an hour before the end",
            ),
            json_schema_extra=TIME,
        ),
    ] = None,
    ends: Annotated[
        Time | None,
        Query(
            alias="to",
            description=both("结束时间 (ISO 8601)；默认现在", "End (ISO 8601); by default now"),
            json_schema_extra=TIME,
        ),
    ] = None,
    interval: Annotated[
        Literal["1m", "5m", "1h"],
        Query(
            description=both(
                "数据间隔；目前不保存历史，不影响结果",
                "Interval of the data; without effect, as no history is kept yet",
            )
        ),
    ] = "1m",
) -> Response:
    """Return what a VM uses now.

    No history is kept yet: `cpu.history` holds the newest measurement if it lies between `from` and
    `to`. A time without a zone is UTC.

    返回虚拟机当前的资源使用。

    目前不保存历史：最近一次测量在 `from` 与 `to` 之间时，`cpu.history` 只含这一次。
    不带时区的时间为 UTC。
    """
    asked = period(begins, ends, gateway.now())
    render = encoded(gateway.boundary, lambda known, host: vm_metrics(known, host, asked))
    return success(msgspec.Raw(render(*found)))
