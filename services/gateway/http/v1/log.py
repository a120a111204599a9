"""Why a VM does not start: what LXD has written about it."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from services.gateway.http import models
from services.gateway.http.dependencies import Gateway, caught_up
from services.gateway.http.openapi import FLEET, READING, TOKEN
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import Wanted
from services.gateway.http.v1.openapi import failures

router = APIRouter(
    prefix=f"{PREFIX}/vms", tags=["虚拟机"], dependencies=[*TOKEN, Depends(caught_up)]
)


@router.get(
    "/{id}/log",
    response_model=models.VmLogAnswer,
    responses=failures(
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
    summary="获取启动日志",
)
async def log(gateway: Gateway, found: Wanted) -> Response:
    """Return what LXD wrote when the VM was started last: `lxc.log`, of a virtual machine
    `qemu.log`.

    It is empty where nothing went wrong. The VM's host is asked, and must be there.
    """
    told = await gateway.logs.of(found.known.target)
    body = {"log": told.text, "truncated": told.truncated}
    return success(body, headers={"cache-control": "no-store"})
