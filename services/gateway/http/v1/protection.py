"""How well the fleet's instances are protected by snapshot policies."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from services.gateway.bilingual import both
from services.gateway.fleet.pagination import PageRequest
from services.gateway.http import messages
from services.gateway.http.dependencies import Gateway, HostChoice, ProjectChoice, Who
from services.gateway.http.errors import language_of
from services.gateway.http.openapi import FLEET, READING, SNAPSHOT_POLICIES, TOKEN
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.http.v1.protection_list import ProtectionFilter, protection_page
from services.gateway.http.v1.vms import Given, Search, part_of
from services.gateway.responses.protection import ProtectionPage

router = APIRouter(prefix=f"{PREFIX}/protection", tags=[SNAPSHOT_POLICIES], dependencies=TOKEN)

State = Literal["protected", "late", "failing", "unprotected", "unknown"]


async def wanted_by(
    state: Annotated[
        State | None, Given, Query(description=both("按状态过滤", "Filter by state"))
    ] = None,
    search: Search = None,
    host: HostChoice = None,
    project: ProjectChoice = None,
) -> ProtectionFilter:
    """Return which instances the request asks for."""
    return ProtectionFilter(state, host, project, search)


@router.get(
    "",
    responses=answers(ProtectionPage) | failures(*READING, *FLEET),
    summary=both("获取保护状态", "List how instances are protected"),
)
async def protection(
    request: Request,
    gateway: Gateway,
    who: Who,
    wanted: Annotated[ProtectionFilter, Depends(wanted_by)],
    part: Annotated[PageRequest, Depends(part_of)],
) -> Response:
    """Return a page of the instances with how their snapshot policies protect them.

    It is what the hosts reported last: of one that is away (`hostOnline`) things may be otherwise
    by now, but it goes on with its plan.

    返回实例及其受快照策略保护情况的一页。

    以主机最近的报告为准；离线主机（`hostOnline`）的情况可能已有变化，但它仍按计划执行。
    """
    explain = partial(messages.run_reason, language=language_of(request))
    page = await protection_page(gateway, wanted, part, explain, secrets=who.may_see_secrets)
    return success(page, headers={"content-language": language_of(request)})
