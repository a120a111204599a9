"""Why a VM does not start: what LXD has written about it."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from services.gateway.bilingual import both
from services.gateway.http.dependencies import Gateway, caught_up
from services.gateway.http.openapi import FLEET, READING, TOKEN, VMS
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import Wanted
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.responses.vm_access import VmLog

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=[*TOKEN, Depends(caught_up)])


@router.get(
    "/{id}/log",
    responses=answers(VmLog)
    | failures(
        *READING,
        *FLEET,
        "instance_not_found",
        "log_not_found",
        "ambiguous_vm",
        "instance_replaced",
        "host_unreachable",
        "broker_unavailable",
        "worker_outdated",
        "outcome_unknown",
    ),
    summary=both("获取启动日志", "Get the log of the last start"),
)
async def log(gateway: Gateway, found: Wanted) -> Response:
    """Return what LXD wrote at the last start: `lxc.log`, or `qemu.log` of a virtual machine.

    It is empty if nothing went wrong. The VM's host is asked, and must be online.

    返回 LXD 在虚拟机最近一次启动时写下的日志：`lxc.log`，虚拟机为 `qemu.log`。

    启动正常时为空；由主机查询，主机须在线。
    """
    told = await gateway.logs.of(found.known.target)
    body = VmLog(told.text, told.truncated)
    return success(body, headers={"cache-control": "no-store"})
