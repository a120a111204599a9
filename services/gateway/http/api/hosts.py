"""The hosts of the fleet, and forgetting one that is gone for good."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from services.gateway.bilingual import both
from services.gateway.error_boundary import EntrySubject
from services.gateway.fleet.views import HostView, host_without_details
from services.gateway.http import messages
from services.gateway.http.dependencies import Dependencies, Gateway, caught_up, read
from services.gateway.http.errors import language_of
from services.gateway.http.free_text import FreeText
from services.gateway.http.instance_list import array
from services.gateway.http.name_resolution import known_host
from services.gateway.http.openapi import CHANGING, HOSTS, READING, TOKEN, answers, problems
from services.gateway.responses import hosts as shown
from services.gateway.responses.operations import Result

router = APIRouter(prefix="/api/hosts", tags=[HOSTS], dependencies=TOKEN)

CURRENT = [Depends(caught_up)]


@router.get(
    "",
    responses=answers(shown.Host, many=True)
    | problems(*READING, "fleet_view_not_ready", "invalid_input"),
    dependencies=CURRENT,
    summary=both("获取所有主机", "List hosts"),
)
async def hosts(gateway: Gateway) -> Response:
    """Return all hosts by id, including those that are offline.

    返回全部主机，按 id 排序，包括离线的。
    """
    return read(array(_encoded(known, gateway) for known in gateway.fleet.hosts()))


@router.get(
    "/{host}",
    responses=answers(shown.Host)
    | problems(*READING, "host_not_found", "fleet_view_not_ready", "invalid_input"),
    dependencies=CURRENT,
    summary=both("获取主机", "Get a host"),
)
async def host(gateway: Gateway, host: FreeText) -> Response:
    """Return one host.

    返回一台主机。
    """
    return read(_encoded(known_host(gateway.fleet, host), gateway))


@router.delete(
    "/{host}",
    responses=answers(Result)
    | problems(*CHANGING, "host_not_found", "host_still_online", "database_unavailable"),
    summary=both("移除主机", "Remove a host"),
)
async def forget(gateway: Gateway, request: Request, host: FreeText) -> Response:
    """Remove a host that is offline, with its instances and its pinned certificate.

    移除一台离线的主机，连同其实例和登记的证书。
    """
    await gateway.hosts.forget(host)
    message = messages.translate("host.forgotten", language_of(request), host=host)
    return read(msgspec.json.encode(Result(success=True, message=message)))


def _encoded(known: HostView, gateway: Dependencies) -> bytes:
    return gateway.boundary.render(
        EntrySubject("host", known.host),
        lambda: msgspec.json.encode(shown.host_view(known)),
        lambda: msgspec.json.encode(shown.host_view(host_without_details(known))),
    )
