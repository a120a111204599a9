"""A VM with another root: made anew of an image, or what it was before that."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from msgspec.structs import asdict

from services.gateway.bilingual import both
from services.gateway.fleet.views import InstanceView
from services.gateway.http import messages
from services.gateway.http.openapi import TOKEN, VMS
from services.gateway.http.request_models.vm_actions import VmRebuild
from services.gateway.http.v1.actions import ERRORS, Empty
from services.gateway.http.v1.create import not_there
from services.gateway.http.v1.envelope import PREFIX
from services.gateway.http.v1.mutations import Mutated, Result, VmMutation
from services.gateway.http.v1.name_resolution import ResolvedInstance
from services.gateway.http.v1.openapi import failures, outcomes
from services.gateway.http.v1.operation_response import vm_now
from services.gateway.responses.vm_results import VmRebuilt
from services.gateway.responses.vms import vm_trash
from services.gateway.vms.fleet_with_pending import Fleet
from shared.contracts.operations import Arguments, Kind, Operation

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=TOKEN)

_ON = outcomes(VmRebuilt)
_ANSWERS = (*ERRORS, "worker_outdated")
REBUILT = {**_ON, **failures(*_ANSWERS, "image_not_found", "insufficient_resources")}
REVERTED = {**_ON, **failures(*_ANSWERS, "trash_not_found")}


@router.post(
    "/{id}/rebuild",
    responses=REBUILT,
    summary=both("重装虚拟机", "Rebuild a VM"),
)
async def rebuild(mutation: Mutated, body: VmRebuild) -> Response:
    """Give a VM a new root file system from an image; everything else stays.

    The old root is kept for a day with its snapshots, and counts as disk of the host: see `trash`.
    If anything fails, the VM is as before. A running VM is running again afterwards.

    用镜像更换虚拟机的根文件系统，其余不变。

    旧系统及其快照保留一天，计入主机的磁盘，见 `trash`。失败时虚拟机与之前相同；
    原本运行的，完成后继续运行。
    """

    def arguments(seen: ResolvedInstance) -> Arguments:
        creations = mutation.request.gateway.creations
        kind = seen.known.instance.type
        image = creations.image(body.template, seen.host, kind)
        if image is None:
            there = creations.suggest_templates(body.template, seen.host, kind)
            raise RequestValidationError([not_there("template", there)])
        return Arguments(image=image, stop_timeout_s=mutation.request.stop_timeout_s)

    return await mutation.execute(Kind.REBUILD, arguments, _told(mutation))


@router.post(
    "/{id}/rebuild/revert",
    responses=REVERTED,
    summary=both("恢复重装前的系统", "Revert a rebuild"),
)
async def revert(mutation: Mutated, body: Empty = None) -> Response:
    """Give a VM back the root file system from before its last rebuild, with its snapshots.

    Its configuration stays as it is now. The present root is kept for a day in turn.

    恢复最近一次重装之前的根文件系统及其快照。

    配置保持现状；现有的系统同样保留一天。
    """
    arguments = Arguments(stop_timeout_s=mutation.request.stop_timeout_s)
    return await mutation.execute(Kind.REVERT, lambda _: arguments, _told(mutation))


def _told(mutation: VmMutation) -> Result:
    """Return what tells of the VM what has become of its root."""

    def told(fleet: Fleet, operation: Operation, seen: InstanceView | None) -> VmRebuilt:
        after = operation.after if operation.final else None
        trash = vm_trash(after) if after else None
        outcome = "done" if operation.final else "unfinished"
        message = messages.translate(
            f"{operation.kind}.{outcome}",
            mutation.request.language,
            name=operation.instance,
            operation_id=operation.operation_id,
        )
        return VmRebuilt(**asdict(vm_now(fleet, operation, seen)), message=message, trash=trash)

    return told
