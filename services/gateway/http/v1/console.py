"""The way to a VM's console: a password for one WebSocket, and its address."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response

from services.gateway.bilingual import both
from services.gateway.consoles import Console
from services.gateway.http.dependencies import Gateway, Who, caught_up
from services.gateway.http.middleware.authentication import CONSOLES
from services.gateway.http.openapi import FLEET, READING, TOKEN, VMS
from services.gateway.http.prefix import prefix_of
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import ResolvedInstance, Wanted
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.responses.vm_access import VmConsole
from services.gateway.responses.vms import RUNNING, vm_id, vm_state
from shared.contracts.consoles import ConsoleType
from shared.contracts.errors import HostUnreachable, InstanceNotRunning, InvalidInput
from shared.contracts.hosts import VIRTUAL_MACHINE

# What really flows, where that is not called like what was asked for.
FLOWS = {ConsoleType.VGA: "spice"}
PORTS = {"http": 80, "https": 443}

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=[*TOKEN, Depends(caught_up)])


@router.get(
    "/{id}/console",
    responses=answers(VmConsole)
    | failures(
        *READING,
        *FLEET,
        "instance_not_found",
        "ambiguous_vm",
        "instance_not_running",
        "host_unreachable",
    ),
    summary=both("获取控制台连接信息", "Get access to a VM's console"),
)
async def console(
    request: Request,
    gateway: Gateway,
    who: Who,
    found: Wanted,
    kind: Annotated[
        ConsoleType | None,
        Query(
            alias="type",
            description=both(
                "默认：容器为 exec，虚拟机为 console；vga 只用于虚拟机",
                "By default `exec` for a container and `console` for a virtual machine; `vga` is "
                "for virtual machines only",
            ),
        ),
    ] = None,
) -> Response:
    """Return the address of a VM's console, for one connection within 30 seconds.

    The address contains the password; whoever has it needs nothing else.

    返回虚拟机控制台的地址，30 秒内可用于一个连接。

    地址中已含密码，持有它即可连接。
    """
    opened = Console(vm_id(found.known), found.known.target, _possible(kind, found), who)
    password = gateway.passwords.issue(opened)
    scheme = "wss" if request.url.scheme == "https" else "ws"
    path = f"{prefix_of(request)}{CONSOLES}{quote(opened.id)}"
    address = f"{scheme}://{request.url.netloc}{path}?password={password}"
    body = VmConsole(
        type=FLOWS.get(opened.type, opened.type),
        host=request.url.hostname or "",
        port=request.url.port or PORTS[request.url.scheme],
        password=password,
        url=address,
    )
    return success(body, headers={"cache-control": "no-store"})


def _possible(kind: ConsoleType | None, found: ResolvedInstance) -> ConsoleType:
    """Return the type that is meant; raise what stands in the way of any."""
    instance = found.known.instance
    virtual = instance.type == VIRTUAL_MACHINE
    if kind is ConsoleType.VGA and not virtual:
        raise InvalidInput("type", "no_screen")
    if not found.host.online:
        raise HostUnreachable(found.known.host)
    if vm_state(*found).status != RUNNING:
        raise InstanceNotRunning(instance.name)
    return kind or (ConsoleType.CONSOLE if virtual else ConsoleType.EXEC)
