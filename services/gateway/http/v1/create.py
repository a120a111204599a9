"""Creating VMs. The answer comes as soon as the host's worker has accepted the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError

from services.gateway.bilingual import both
from services.gateway.fleet.capacity import Amount
from services.gateway.http.mutations import Mutating, Mutation
from services.gateway.http.openapi import CHANGING, FLEET, TOKEN, VMS
from services.gateway.http.operation_response import error_of, told_beside
from services.gateway.http.request_models.vm_creation import VmCreation
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.responses.vm_results import VmCreated
from services.gateway.responses.vms import CREATING, ID_PREFIX, status_of
from services.gateway.units import GIB, MIB
from services.gateway.vms import limits
from services.gateway.vms.new_vm import NewVm
from shared.contracts.operations import Operation, State
from shared.contracts.truncation import first_few

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=TOKEN)

ANSWERS = answers(VmCreated, 201) | failures(
    *CHANGING,
    *FLEET,
    "no_host_fits",
    "no_host_for_now",
    "insufficient_resources",
    "image_not_found",
    "instance_exists",
    "port_in_use",
    "idempotency_key_reused",
    "host_unreachable",
    "broker_unavailable",
    "database_unavailable",
    "host_busy",
    "secrets_not_received",
    "worker_outdated",
)


@router.post(
    "",
    status_code=201,
    responses=ANSWERS,
    summary=both("创建虚拟机", "Create a VM"),
)
async def create(request: Mutating, body: VmCreation) -> Response:
    """Create a VM; its status is `creating` until the host has made it.

    Actions on it may be sent at once; they are carried out after the creation.

    创建虚拟机；主机完成之前其状态为 `creating`。

    可以立即对它发出操作，这些操作在创建之后执行。
    """
    return created(await request.recall() or await _submitted(request, _wanted(body)))


async def _submitted(request: Mutation, vm: NewVm) -> Operation:
    creations = request.gateway.creations
    if wrong := creations.missing_references(vm):
        raise RequestValidationError([not_there(field, wrong[field]) for field in wrong])
    return await creations.create(vm, request.caller, request.key)


def _wanted(body: VmCreation) -> NewVm:
    return NewVm(
        name=body.name,
        template=body.template,
        amount=Amount(body.cpu, body.memory * MIB, round(body.disk * GIB)),
        type=body.type or "",
        network=body.network.chosen if body.network else "",
        auto_start=body.auto_start,
        project=body.project,
        host=body.host or "",
        rule=body.placement,
        description=body.description,
        labels=body.labels,
        ssh_keys=tuple(body.ssh_keys),
        ssh=body.ssh,
        ports=body.ports,
        limits=limits.to_limits(body.limits.given()),
        cloud_init=body.cloud_init,
        root_password=body.root_password or "",
    )


def not_there(field: str, there: Sequence[str]) -> dict[str, Any]:
    """Return what is wrong with a field that names what is not there; `there` is what is."""
    expected = first_few(there) or "-"
    return {"type": "literal_error", "loc": ("body", field), "ctx": {"expected": expected}}


def created(operation: Operation) -> Response:
    """Return the new VM as it stands; raise what its creation failed with."""
    if operation.final and operation.state is not State.DONE:
        raise error_of(operation)
    ordered = operation.arguments.create
    vm_id = f"{ID_PREFIX}{operation.uuid}"
    data = VmCreated(
        id=vm_id,
        name=ordered.display_name if ordered else operation.instance,
        status=status_of(operation.after.status) if operation.after else CREATING,
        progress=100 if operation.final else operation.progress or 0,
        host=operation.host,
        operation=operation.operation_id,
    )
    headers = {**told_beside(operation), "location": f"{PREFIX}/vms/{vm_id}"}
    return success(data, status=201, headers=headers)
