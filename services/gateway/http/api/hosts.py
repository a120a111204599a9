"""The hosts of the fleet, and forgetting one that is gone for good."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from services.gateway.error_boundary import EntrySubject
from services.gateway.fleet.views import HostView, bare_host
from services.gateway.http import messages, models
from services.gateway.http.dependencies import Dependencies, Gateway, caught_up, read
from services.gateway.http.errors import tongue_of
from services.gateway.http.free_text import FreeText
from services.gateway.http.instance_list import array
from services.gateway.http.name_resolution import known_host
from services.gateway.http.openapi import CHANGING, READING, TOKEN, problems
from services.gateway.responses import hosts as shown

router = APIRouter(prefix="/api/hosts", tags=["主机"], dependencies=TOKEN)

CURRENT = [Depends(caught_up)]


@router.get(
    "",
    response_model=list[models.Host],
    responses=problems(*READING, "fleet_view_not_ready", "invalid_input"),
    dependencies=CURRENT,
    summary="获取所有主机",
)
async def hosts(gateway: Gateway) -> Response:
    """Return all hosts by id, those that are away too."""
    return read(array(_encoded(known, gateway) for known in gateway.fleet.hosts()))


@router.get(
    "/{host}",
    response_model=models.Host,
    responses=problems(*READING, "host_not_found", "fleet_view_not_ready", "invalid_input"),
    dependencies=CURRENT,
    summary="获取主机",
)
async def host(gateway: Gateway, host: FreeText) -> Response:
    """Return one host."""
    return read(_encoded(known_host(gateway.fleet, host), gateway))


@router.delete(
    "/{host}",
    response_model=models.Result,
    responses=problems(*CHANGING, "host_not_found", "host_still_online", "database_unavailable"),
    summary="移除主机",
)
async def forget(gateway: Gateway, request: Request, host: FreeText) -> JSONResponse:
    """Forget a host that is away: its instances, and the certificate it is pinned to."""
    await gateway.hosts.forget(host)
    message = messages.say("host.forgotten", tongue_of(request), host=host)
    return JSONResponse({"success": True, "message": message, "data": None})


def _encoded(known: HostView, gateway: Dependencies) -> bytes:
    return gateway.boundary.render(
        EntrySubject("host", known.host),
        lambda: msgspec.json.encode(shown.host_view(known)),
        lambda: msgspec.json.encode(shown.host_view(bare_host(known))),
    )
