"""A new password for root, inside a VM that runs."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from services.gateway.fleet.views import InstanceView
from services.gateway.http import models
from services.gateway.http.openapi import TOKEN
from services.gateway.http.v1.actions import ERRORS, GOES_ON
from services.gateway.http.v1.envelope import PREFIX
from services.gateway.http.v1.mutations import Mutated
from services.gateway.http.v1.openapi import failures
from services.gateway.http.v1.operation_response import vm_now
from services.gateway.vms.view import Fleet
from shared.contracts.operations import Arguments, Kind, Operation, Secrets

router = APIRouter(prefix=f"{PREFIX}/vms", tags=["虚拟机"], dependencies=TOKEN)

ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"model": models.VmPasswordAnswer, **GOES_ON},
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
    response_model=models.VmPasswordAnswer,
    responses=ANSWERS,
    summary="设置 root 密码",
)
async def password(
    mutation: Mutated, body: Annotated[models.VmPassword | None, Body()] = None
) -> Response:
    """Set root's password inside the VM, which has to run; where it is noted, the note follows.

    Without one in the request it is generated, and shown in this answer only.
    """
    given = body.password if body else None
    new = given or token_urlsafe(RANDOM_BYTES)

    def result(fleet: Fleet, operation: Operation, seen: InstanceView | None) -> dict[str, object]:
        # Under the key of an earlier request it was another one, and is not known any more.
        is_new = given is None and seen is not None
        return {**vm_now(fleet, operation, seen), "password": new if is_new else None}

    return await mutation.execute(
        Kind.PASSWORD, lambda _: Arguments(), result, Secrets(root_password=new)
    )
