"""The ports of a host that lead to a VM."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response

from services.gateway.fleet.views import InstanceView
from services.gateway.http import models
from services.gateway.http.dependencies import caught_up
from services.gateway.http.openapi import FLEET, READING, TOKEN
from services.gateway.http.v1.actions import ERRORS, GOES_ON, IfMatch, demanded_tag
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.mutations import Mutated
from services.gateway.http.v1.name_resolution import ResolvedInstance, Wanted
from services.gateway.http.v1.openapi import failures
from services.gateway.responses import vm_ports
from services.gateway.vms.view import Fleet
from shared.contracts.changes import Changes, Forward
from shared.contracts.events import HostDescribed
from shared.contracts.instances import Proxy, etag
from shared.contracts.operations import Arguments, Kind, Operation

router = APIRouter(prefix=f"{PREFIX}/vms/{{id}}/ports", tags=["虚拟机"], dependencies=TOKEN)

CHANGED: dict[int | str, dict[str, Any]] = {
    202: {"model": models.VmPortsAnswer, **GOES_ON},
    **failures(*ERRORS, "instance_changed_since", "insufficient_resources", "port_in_use"),
}


@router.get(
    "",
    response_model=models.VmPortsAnswer,
    responses=failures(*READING, *FLEET, "instance_not_found", "ambiguous_vm"),
    dependencies=[Depends(caught_up)],
    summary="获取端口转发",
)
async def ports(found: Wanted) -> Response:
    """Return which ports of the host lead to the VM; the answer can be sent back, changed."""
    instance = found.known.instance
    shown = vm_ports.ports(instance.proxies, _address(found.host.described))
    return success(shown, headers={"etag": f'"{etag(instance)}"'})


@router.put("", response_model=models.VmPortsAnswer, responses=CHANGED, summary="更改端口转发")
async def change(
    mutation: Mutated, body: models.VmPortsChange, if_match: IfMatch = None
) -> Response:
    """Let these ports lead to the VM and no others; `PORT_IN_USE` where one is taken."""
    wanted = tuple(Forward(**each.model_dump()) for each in body.forwards)

    def arguments(seen: ResolvedInstance) -> Arguments:
        return Arguments(changes=Changes(forwards=wanted), etag=demanded_tag(seen, if_match))

    return await mutation.execute(Kind.UPDATE, arguments, _ports_now)


def _ports_now(fleet: Fleet, operation: Operation, _: InstanceView | None) -> vm_ports.Ports:
    here = [each for each in fleet.with_uuid(operation.uuid) if each.host == operation.host]
    proxies: tuple[Proxy, ...] = here[0].instance.proxies if here else ()
    return vm_ports.ports(proxies, _address(fleet.host(operation.host).described))


def _address(described: HostDescribed | None) -> str:
    return described.address if described else ""
