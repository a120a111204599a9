"""What the caller of the VM API is told about its operation.

What was so already is no success here: the document has names for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec.structs import asdict
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from services.gateway.fleet.views import InstanceView
from services.gateway.http.errors import HttpError, LocalizedError, told
from services.gateway.http.mutations import Mutation
from services.gateway.http.operation_response import error_of, told_beside
from services.gateway.http.v1 import envelope
from services.gateway.responses.vm_results import (
    DELETED,
    VmRestored,
    VmResult,
    VmSnapshotResult,
    VmUpdated,
)
from services.gateway.responses.vms import ID_PREFIX, status_of, vm_id
from services.gateway.vms.fleet_with_pending import Fleet
from services.gateway.vms.naming import display_name_of
from shared.contracts.errors import FleetError, InstanceNotRunning, InstanceRunning
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, Operation, State, is_gone

_ALREADY: dict[Kind, Callable[[str], FleetError]] = {
    Kind.START: InstanceRunning,
    Kind.STOP: InstanceNotRunning,
    Kind.UNFREEZE: InstanceRunning,
}


def answer(request: Mutation, operation: Operation, data: object) -> Response:
    """Return the data, with 202 if the operation goes on, or the error that it ended with."""
    headers = told_beside(operation)
    if failed := failure_of(operation):
        return envelope.failure(told_of(operation, failed, request), request.gateway.now(), headers)
    return envelope.success(data, status=200 if operation.final else 202, headers=headers)


def told_of(
    operation: Operation, failed: FleetError | HttpError, request: Mutation
) -> LocalizedError:
    """Return what is told of a failure, with what LXD has written about it."""
    failure = told(envelope.in_its_words(failed), request.language)
    log = operation.failure.log if operation.failure else ""
    return replace(failure, values={**failure.values, "log": log}) if log else failure


def unchanged(known: InstanceView, kind: Kind) -> Response:
    """Return the VM as it is, for a request that asks for nothing else."""
    now = _result(vm_id(known), known.instance)
    if kind is Kind.UPDATE:
        now = VmUpdated(**asdict(now), needs_restart=[])
    return envelope.success(now)


def failure_of(operation: Operation) -> FleetError | HttpError | None:
    """Return why an operation is no success by the document; None: it is one, or goes on."""
    if not operation.final:
        return None
    if operation.state is not State.DONE:
        return error_of(operation)
    if operation.changed or operation.kind not in _ALREADY:
        return None
    return _ALREADY[operation.kind](operation.instance)


def vm_now(fleet: Fleet, operation: Operation, seen: InstanceView | None) -> VmResult:
    """Return the VM as it is now; `seen` is as it was before, None: that is not known."""
    vm = vm_id(seen) if seen else f"{ID_PREFIX}{operation.uuid}"
    instance = _now(operation, fleet)
    if instance is None or is_gone(operation):
        name = display_name_of(seen.instance) if seen else operation.instance
        return _with_details(VmResult(id=vm, name=name, status=DELETED), operation)
    return _with_details(_result(vm, instance), operation)


def _now(operation: Operation, fleet: Fleet) -> Instance | None:
    """Return the instance as it is known to be, or as the operation left it."""
    sharing = fleet.with_uuid(operation.uuid)
    here = [known.instance for known in sharing if known.host == operation.host]
    return here[0] if here else operation.after


def _with_details(now: VmResult, operation: Operation) -> VmResult:
    """Return the same with what an operation of this kind tells beside the VM."""
    if operation.kind is Kind.UPDATE:
        return VmUpdated(**asdict(now), needs_restart=list(map(to_camel, operation.needs_restart)))
    arguments = operation.arguments
    if operation.kind is Kind.RESTORE:
        return VmRestored(
            **asdict(now),
            snapshot=arguments.snapshot,
            safety_snapshot=arguments.safety_snapshot or None,
        )
    if snapshot := arguments.snapshot:
        return VmSnapshotResult(**asdict(now), snapshot=snapshot)
    return now


def _result(vm: str, instance: Instance) -> VmResult:
    return VmResult(id=vm, name=display_name_of(instance), status=status_of(instance.status))
