"""A VM with another root: made anew of an image, or what it was before that."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError

from services.gateway.fleet.views import InstanceView
from services.gateway.http import messages, models
from services.gateway.http.openapi import TOKEN
from services.gateway.http.v1.actions import ERRORS, GOES_ON, Empty
from services.gateway.http.v1.create import not_there
from services.gateway.http.v1.envelope import PREFIX
from services.gateway.http.v1.mutations import Mutated, Result, VmMutation
from services.gateway.http.v1.name_resolution import ResolvedInstance
from services.gateway.http.v1.openapi import failures
from services.gateway.http.v1.operation_response import vm_now
from services.gateway.responses.vms import vm_trash
from services.gateway.vms.view import Fleet
from shared.contracts.operations import Arguments, Kind, Operation

router = APIRouter(prefix=f"{PREFIX}/vms", tags=["虚拟机"], dependencies=TOKEN)

_ON: dict[int | str, dict[str, Any]] = {202: {"model": models.VmRebuiltAnswer, **GOES_ON}}
_ANSWERS = (*ERRORS, "worker_outdated")
REBUILT = {**_ON, **failures(*_ANSWERS, "image_not_found", "insufficient_resources")}
REVERTED = {**_ON, **failures(*_ANSWERS, "trash_not_found")}


@router.post(
    "/{id}/rebuild",
    response_model=models.VmRebuiltAnswer,
    responses=REBUILT,
    summary="重装虚拟机",
)
async def rebuild(mutation: Mutated, body: models.VmRebuild) -> Response:
    """Give it a new root from an image; all else of it stays.

    The old root is kept for a day with its snapshots, and counts as disk of the host: `trash`. If
    anything fails, the VM is what it was. One that ran runs afterwards.
    """

    def arguments(seen: ResolvedInstance) -> Arguments:
        creations = mutation.request.gateway.creations
        kind = seen.known.instance.type
        image = creations.image(body.template, seen.host, kind)
        if image is None:
            there = creations.instead_of(body.template, seen.host, kind)
            raise RequestValidationError([not_there("template", there)])
        return Arguments(image=image, stop_timeout_s=mutation.request.stop_timeout_s)

    return await mutation.execute(Kind.REBUILD, arguments, _told(mutation))


@router.post(
    "/{id}/rebuild/revert",
    response_model=models.VmRebuiltAnswer,
    responses=REVERTED,
    summary="恢复重装前的系统",
)
async def revert(mutation: Mutated, body: Empty = None) -> Response:
    """Give it back the root that it had before its last rebuild, with its snapshots.

    What it is set to stays as it is now. The root that it has is kept for a day in turn.
    """
    arguments = Arguments(stop_timeout_s=mutation.request.stop_timeout_s)
    return await mutation.execute(Kind.REVERT, lambda _: arguments, _told(mutation))


def _told(mutation: VmMutation) -> Result:
    """Return what tells of the VM what has become of its root."""

    def told(fleet: Fleet, operation: Operation, seen: InstanceView | None) -> object:
        after = operation.after if operation.final else None
        trash = vm_trash(after) if after else None
        outcome = "done" if operation.final else "unfinished"
        message = messages.say(
            f"{operation.kind}.{outcome}",
            mutation.request.language,
            name=operation.instance,
            operation_id=operation.operation_id,
        )
        return {
            **vm_now(fleet, operation, seen),
            "message": message,
            "trash": msgspec.to_builtins(trash),
        }

    return told
