"""The ports of a host that lead to a VM."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from services.gateway.bilingual import both
from services.gateway.fleet.views import InstanceView
from services.gateway.http.dependencies import caught_up
from services.gateway.http.openapi import FLEET, READING, TOKEN, VMS, Responses
from services.gateway.http.request_models.vm_ports import VmPortsChange
from services.gateway.http.v1.actions import ERRORS, IfMatch, demanded_tag
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.mutations import Mutated
from services.gateway.http.v1.name_resolution import ResolvedInstance, Wanted
from services.gateway.http.v1.openapi import answers, failures, outcomes
from services.gateway.responses.vm_ports import VmPorts, vm_ports
from services.gateway.vms.fleet_with_pending import Fleet
from shared.contracts.events import HostDescribed
from shared.contracts.instance_config import Changes, Forward
from shared.contracts.instance_etag import etag
from shared.contracts.instances import Proxy
from shared.contracts.operations import Arguments, Kind, Operation

router = APIRouter(prefix=f"{PREFIX}/vms/{{id}}/ports", tags=[VMS], dependencies=TOKEN)

CHANGED: Responses = {
    **outcomes(VmPorts),
    **failures(*ERRORS, "instance_changed_since", "insufficient_resources", "port_in_use"),
}


@router.get(
    "",
    responses=answers(VmPorts) | failures(*READING, *FLEET, "instance_not_found", "ambiguous_vm"),
    dependencies=[Depends(caught_up)],
    summary=both("获取端口转发", "Get a VM's port forwards"),
)
async def ports(found: Wanted) -> Response:
    """Return the host's ports that lead to a VM; the answer may be changed and sent back with PUT.

    返回主机上通向虚拟机的端口；修改后可用 PUT 原样提交。
    """
    instance = found.known.instance
    shown = vm_ports(instance.proxies, _address(found.host.resources))
    return success(shown, headers={"etag": f'"{etag(instance)}"'})


@router.put("", responses=CHANGED, summary=both("更改端口转发", "Replace a VM's port forwards"))
async def change(mutation: Mutated, body: VmPortsChange, if_match: IfMatch = None) -> Response:
    """Make these ports lead to a VM, and no others; `PORT_IN_USE` if one is taken.

    使这些端口通向虚拟机，替换其他全部；端口被占用时为 `PORT_IN_USE`。
    """
    wanted = tuple(Forward(**each.model_dump()) for each in body.forwards)

    def arguments(seen: ResolvedInstance) -> Arguments:
        return Arguments(changes=Changes(forwards=wanted), etag=demanded_tag(seen, if_match))

    return await mutation.execute(Kind.UPDATE, arguments, _ports_now)


def _ports_now(fleet: Fleet, operation: Operation, _: InstanceView | None) -> VmPorts:
    here = [each for each in fleet.with_uuid(operation.uuid) if each.host == operation.host]
    proxies: tuple[Proxy, ...] = here[0].instance.proxies if here else ()
    return vm_ports(proxies, _address(fleet.host(operation.host).resources))


def _address(described: HostDescribed | None) -> str:
    return described.address if described else ""
