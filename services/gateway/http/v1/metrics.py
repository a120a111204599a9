"""What a VM uses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from services.gateway.http import models
from services.gateway.http.dependencies import Gateway, caught_up
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.openapi import TOKEN
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import Wanted
from services.gateway.http.v1.vms import ONE
from services.gateway.responses.entries import encoded
from services.gateway.responses.time_range import period
from services.gateway.responses.vm_metrics import vm_metrics

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
    prefix=f"{PREFIX}/vms", tags=["虚拟机监控"], dependencies=[*TOKEN, Depends(caught_up)]
)


@router.get(
    "/{id}/metrics",
    response_model=models.VmMetricsAnswer,
    responses=ONE,
    summary="获取虚拟机性能指标",
)
async def metrics(
    gateway: Gateway,
    found: Wanted,
    begins: Annotated[
        Time | None,
        Query(
            alias="from",
            description="开始时间 (ISO 8601)；默认结束前一小时",
            json_schema_extra=TIME,
        ),
    ] = None,
    ends: Annotated[
        Time | None,
        Query(
            alias="to",
            description="结束时间 (ISO 8601)；默认现在",
            json_schema_extra=TIME,
        ),
    ] = None,
    interval: Annotated[
        Literal["1m", "5m", "1h"], Query(description="数据间隔；目前不保存历史，不影响结果")
    ] = "1m",
) -> Response:
    """Return what the VM uses now.

    No history is kept yet: `cpu.history` holds the newest measurement, if it lies between `from`
    and `to`. A time without a zone is UTC.
    """
    asked = period(begins, ends, gateway.now())
    render = encoded(gateway.boundary, lambda known, host: vm_metrics(known, host, asked))
    return success(msgspec.Raw(render(*found)))
