"""A new password for root, inside a VM that runs."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import Annotated

from fastapi import APIRouter, Body, Response
from msgspec.structs import asdict

from services.gateway.bilingual import both
from services.gateway.fleet.views import InstanceView
from services.gateway.http.openapi import TOKEN, VMS, Responses
from services.gateway.http.request_models.vm_actions import VmPassword
from services.gateway.http.v1.actions import ERRORS
from services.gateway.http.v1.envelope import PREFIX
from services.gateway.http.v1.mutations import Mutated
from services.gateway.http.v1.openapi import failures, outcomes
from services.gateway.http.v1.operation_response import vm_now
from services.gateway.responses.vm_results import VmPasswordSet
from services.gateway.vms.fleet_with_pending import Fleet
from shared.contracts.operations import Arguments, Kind, Operation, Secrets

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=TOKEN)

ANSWERS: Responses = {
    **outcomes(VmPasswordSet),
    **failures(
        *ERRORS,
        "instance_not_running",
        "password_not_set",
        "secrets_not_received",
        "worker_outdated",
    ),
}
# 120 bits, in 20 letters, digits, `-` and `_`.
RANDOM_BYTES = 15


@router.post(
    "/{id}/password",
    responses=ANSWERS,
    summary=both("设置 root 密码", "Set root's password"),
)
async def password(
    mutation: Mutated, body: Annotated[VmPassword | None, Body()] = None
) -> Response:
    """Set root's password inside a running VM; where its note holds one, that is updated as well.

    Without one in the request it is generated, and shown in this answer only.

    在正在运行的虚拟机内设置 root 密码；备注中记有密码的，同时更新。

    请求未给出密码时随机生成，只在此响应中显示一次。
    """
    given = body.password if body else None
    new = given or token_urlsafe(RANDOM_BYTES)

    def result(fleet: Fleet, operation: Operation, seen: InstanceView | None) -> VmPasswordSet:
        # Under the key of an earlier request it was another one, and is not known any more.
        is_new = given is None and seen is not None
        now = vm_now(fleet, operation, seen)
        return VmPasswordSet(**asdict(now), password=new if is_new else None)

    return await mutation.execute(
        Kind.PASSWORD, lambda _: Arguments(), result, Secrets(root_password=new)
    )
