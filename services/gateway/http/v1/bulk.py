"""One action on many VMs: an operation for each, and a result for each.

A few are worked on at a time. The whole request waits no longer for outcomes than a single one
would: what has not ended by then goes on, and says so.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Response

from services.gateway.http import models
from services.gateway.http.errors import HttpError, told
from services.gateway.http.models.vm_bulk import MOST_VMS
from services.gateway.http.mutations import Asked, Asking, Order, recalled, submitted
from services.gateway.http.openapi import CHANGING, FLEET, TOKEN
from services.gateway.http.v1 import envelope
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import InstanceSelector, found
from services.gateway.http.v1.openapi import failures
from services.gateway.http.v1.operation_response import failure_of, told_of, vm_now
from services.gateway.http.v1.vm_filter import VmFilter
from services.gateway.ports import target_of
from services.gateway.responses.vms import vm_id
from shared.contracts.errors import FleetError, InvalidInput
from shared.contracts.operations import Arguments, Kind

AT_ONCE = 32

KINDS = {
    "start": Kind.START,
    "stop": Kind.STOP,
    "restart": Kind.RESTART,
    "pause": Kind.FREEZE,
    "resume": Kind.UNFREEZE,
    "delete": Kind.DELETE,
}

router = APIRouter(prefix=f"{PREFIX}/vms/actions", tags=["虚拟机"], dependencies=TOKEN)


# What became of the action for one VM: the fields of `models.VmActionResult`.
Result = dict[str, Any]
NOTHING_DONE: Result = {"success": False, "status": None, "operation": None, "state": None}


@dataclass(frozen=True, slots=True)
class Round:
    """What is done to each VM; `deadline` is the loop's time until which outcomes are awaited."""

    asked: Asked
    kind: Kind
    arguments: Arguments
    free: asyncio.Semaphore
    deadline: float


@router.post(
    "",
    response_model=models.VmActionResultsAnswer,
    responses=failures(*CHANGING, *FLEET),
    summary="批量操作",
)
async def act(asked: Asking, body: models.VmActions) -> Response:
    """Carry out an action on each of these VMs; no failure hides another.

    With an Idempotency-Key no VM gets its operation twice.
    """
    settings = asked.gateway.settings
    whole = Round(
        asked=asked,
        kind=KINDS[body.action],
        arguments=Arguments(force=body.force, stop_timeout_s=settings.stop_timeout_s),
        free=asyncio.Semaphore(AT_ONCE),
        deadline=asyncio.get_running_loop().time() + settings.sync_wait_s,
    )
    results = await asyncio.gather(*(_result(whole, each) for each in _meant(asked, body)))
    return success({"results": results, **_counted(results)})


def _meant(asked: Asked, body: models.VmActions) -> Sequence[str]:
    """Return the ids of the VMs that are meant, each once."""
    if body.selector is None:
        return list(dict.fromkeys(body.ids or ()))
    chosen = body.selector.model_dump(exclude={"label"})
    wanted = VmFilter(**chosen, labels=tuple(body.selector.label))
    secrets = asked.caller.may_see_secrets
    fitting = asked.gateway.pages.fitting(wanted, secrets=secrets)
    if len(fitting) > MOST_VMS:
        raise InvalidInput("selector", "selects_too_many")
    return [vm_id(known) for known in fitting]


async def _result(whole: Round, named: str) -> Result:
    asked = _for_one(whole.asked, named)
    async with whole.free:
        try:
            return await _carried_out(replace(whole, asked=asked), named)
        except (FleetError, HttpError) as error:
            return NOTHING_DONE | {"id": named, "name": named, "error": _told(asked, error)}


async def _carried_out(whole: Round, named: str) -> Result:
    asked, gateway = whole.asked, whole.asked.gateway
    begun, seen = await recalled(asked), None
    if begun is None:
        seen = found(gateway.vms, InstanceSelector(named)).known
        begun = await submitted(asked, Order(whole.kind, target_of(seen), whole.arguments))
    left_s = max(0.0, whole.deadline - asyncio.get_running_loop().time())
    operation = await gateway.operations.wait(begun.operation_id, left_s)
    failure = failure_of(operation)
    return {
        **vm_now(gateway.vms, operation, seen),
        "success": operation.final and failure is None,
        "operation": operation.operation_id,
        "state": operation.state,
        "error": envelope.error(told_of(operation, failure, asked)) if failure else None,
    }


def _for_one(asked: Asked, named: str) -> Asked:
    """Return who asks for one of the VMs, under a key that only it has."""
    if asked.key is None:
        return asked
    return replace(asked, key=hashlib.sha256(f"{asked.key} {named}".encode()).hexdigest())


def _told(asked: Asked, error: FleetError | HttpError) -> envelope.Error:
    return envelope.error(told(error, asked.tongue))


def _counted(results: Sequence[Result]) -> dict[str, int]:
    succeeded = sum(result["success"] for result in results)
    failed = sum(result["error"] is not None for result in results)
    return {
        "succeeded": succeeded,
        "failed": failed,
        "unfinished": len(results) - succeeded - failed,
    }
