"""One action on many VMs: an operation for each, and a result for each.

A few are worked on at a time. The whole request waits no longer for outcomes than a single one
would: what has not ended by then goes on, and says so.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter, Response
from msgspec.structs import asdict

from services.gateway.bilingual import both
from services.gateway.fleet.views import InstanceView
from services.gateway.http.errors import HttpError, told
from services.gateway.http.mutations import Mutating, Mutation
from services.gateway.http.openapi import CHANGING, FLEET, TOKEN, VMS
from services.gateway.http.request_models.vm_bulk_action import MOST_VMS, VmActions
from services.gateway.http.v1 import envelope
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import InstanceSelector, found
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.http.v1.operation_response import failure_of, told_of, vm_now
from services.gateway.http.v1.vm_filter import VmFilter
from services.gateway.operations.command import command_for
from services.gateway.responses.vm_results import VmActionResult, VmActionResults
from services.gateway.responses.vms import vm_id
from shared.contracts.errors import FleetError, InvalidInput
from shared.contracts.operations import Arguments, Command, Kind

AT_ONCE = 32

KINDS = {
    "start": Kind.START,
    "stop": Kind.STOP,
    "restart": Kind.RESTART,
    "pause": Kind.FREEZE,
    "resume": Kind.UNFREEZE,
    "delete": Kind.DELETE,
}

router = APIRouter(prefix=f"{PREFIX}/vms/actions", tags=[VMS], dependencies=TOKEN)


@dataclass(frozen=True, slots=True)
class BulkAction:
    """What is done to each VM; `deadline` is the loop's time until which outcomes are awaited."""

    request: Mutation
    kind: Kind
    arguments: Arguments
    slots: asyncio.Semaphore
    deadline: float


@router.post(
    "",
    responses=answers(VmActionResults) | failures(*CHANGING, *FLEET),
    summary=both("批量操作", "Act on several VMs"),
)
async def act(request: Mutating, body: VmActions) -> Response:
    """Carry out an action on each of these VMs; the failure of one does not stop the others.

    With an Idempotency-Key no VM gets its operation twice.

    对每台虚拟机执行同一操作；一台失败不影响其他。

    给出 Idempotency-Key 时，重复请求不会重复执行。
    """
    action = BulkAction(
        request=request,
        kind=KINDS[body.action],
        arguments=Arguments(force=body.force, stop_timeout_s=request.stop_timeout_s),
        slots=asyncio.Semaphore(AT_ONCE),
        deadline=asyncio.get_running_loop().time() + request.gateway.settings.sync_wait_s,
    )
    selected = await _selected(request, body)
    results = await asyncio.gather(*(_result(action, each) for each in selected))
    return success(_counted(results))


async def _selected(request: Mutation, body: VmActions) -> Sequence[str]:
    """Return the ids of the VMs, each once."""
    if body.selector is None:
        return list(dict.fromkeys(body.ids or ()))
    chosen = body.selector.model_dump(exclude={"label"})
    wanted = VmFilter(**chosen, labels=tuple(body.selector.label))
    secrets = request.caller.may_see_secrets
    matching = await request.gateway.pages.fitting(wanted, secrets=secrets)
    if len(matching) > MOST_VMS:
        raise InvalidInput("selector", "selects_too_many")
    return [vm_id(known) for known in matching]


async def _result(action: BulkAction, named: str) -> VmActionResult:
    request = _for_one(action.request, named)
    async with action.slots:
        try:
            return await _execute(replace(action, request=request), named)
        except (FleetError, HttpError) as error:
            described = envelope.error(told(envelope.in_its_words(error), request.language))
            return VmActionResult(
                id=named,
                name=named,
                success=False,
                status=None,
                operation=None,
                state=None,
                error=described,
            )


async def _execute(action: BulkAction, named: str) -> VmActionResult:
    request, fleet = action.request, action.request.gateway.vms
    before: InstanceView | None = None

    def new_command() -> Command:
        nonlocal before
        before = found(fleet, InstanceSelector(named)).known
        return command_for(before, action.kind, action.arguments, request.caller)

    left_s = max(0.0, action.deadline - asyncio.get_running_loop().time())
    operation = await request.execute(new_command, wait_s=left_s)
    failure = failure_of(operation)
    return VmActionResult(
        **asdict(vm_now(fleet, operation, before)),
        success=operation.final and failure is None,
        operation=operation.operation_id,
        state=operation.state,
        error=envelope.error(told_of(operation, failure, request)) if failure else None,
    )


def _for_one(request: Mutation, named: str) -> Mutation:
    """Return the request for one of the VMs, under a key that only it has."""
    if request.key is None:
        return request
    key = hashlib.sha256(f"{request.key.key} {named}".encode()).hexdigest()
    return replace(request, key=replace(request.key, key=key))


def _counted(results: Sequence[VmActionResult]) -> VmActionResults:
    succeeded = sum(result.success for result in results)
    failed = sum(result.error is not None for result in results)
    return VmActionResults(
        results=list(results),
        succeeded=succeeded,
        failed=failed,
        unfinished=len(results) - succeeded - failed,
    )
