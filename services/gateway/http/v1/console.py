"""The way to a VM's console: a password for one WebSocket, and its address."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response

from services.gateway.consoles import Console
from services.gateway.http import models
from services.gateway.http.dependencies import Gateway, Who, caught_up
from services.gateway.http.middleware.authentication import CONSOLES
from services.gateway.http.openapi import FLEET, READING, TOKEN
from services.gateway.http.prefix import prefix_of
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import ResolvedInstance, Wanted
from services.gateway.http.v1.openapi import failures
from services.gateway.responses.vms import RUNNING, vm_id, vm_state
from shared.contracts.consoles import ConsoleType
from shared.contracts.errors import HostUnreachable, InstanceNotRunning, InvalidInput
from shared.contracts.hosts import VIRTUAL_MACHINE

# What really flows, where that is not called like what was asked for.
FLOWS = {ConsoleType.VGA: "spice"}
PORTS = {"http": 80, "https": 443}

router = APIRouter(
    prefix=f"{PREFIX}/vms", tags=["虚拟机"], dependencies=[*TOKEN, Depends(caught_up)]
)


@router.get(
    "/{id}/console",
    response_model=models.VmConsoleAnswer,
    responses=failures(
        *READING,
        *FLEET,
        "instance_not_found",
        "ambiguous_vm",
        "instance_not_running",
        "host_unreachable",
    ),
    summary="获取控制台连接信息",
)
async def console(
    request: Request,
    gateway: Gateway,
    who: Who,
    found: Wanted,
    kind: Annotated[
        ConsoleType | None,
        Query(alias="type", description="默认：容器为 exec，虚拟机为 console；vga 只用于虚拟机"),
    ] = None,
) -> Response:
    """Return how to sit down at the VM, within 30 seconds.

    The address has the password in it: whoever is given it needs nothing else.
    """
    opened = Console(vm_id(found.known), found.known.target, _possible(kind, found), who)
    password = gateway.passwords.issue(opened)
    scheme = "wss" if request.url.scheme == "https" else "ws"
    path = f"{prefix_of(request)}{CONSOLES}{quote(opened.id)}"
    address = f"{scheme}://{request.url.netloc}{path}?password={password}"
    body = {
        "type": FLOWS.get(opened.type, opened.type),
        "host": request.url.hostname,
        "port": request.url.port or PORTS[request.url.scheme],
        "password": password,
        "url": address,
    }
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
