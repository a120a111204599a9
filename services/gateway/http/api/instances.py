"""Reading instances: the list, one, and its use of resources."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.fleet.pagination import PageRequest
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.conditional_response import conditional_response
from services.gateway.http.dependencies import (
    Cursor,
    Gateway,
    HostChoice,
    Long,
    Name,
    ProjectChoice,
    Who,
    caught_up,
    read,
)
from services.gateway.http.field_selection import chosen, fields_query
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.instance_list import InstanceFilter, ListQuery
from services.gateway.http.name_resolution import known_instance
from services.gateway.http.openapi import FLEET, INSTANCES, READING, TOKEN, answers, problems
from services.gateway.responses import instances as shown
from services.gateway.responses.entry_cache import encoded

router = APIRouter(
    prefix="/api/instances", tags=[INSTANCES], dependencies=[*TOKEN, Depends(caught_up)]
)

MOST_AT_ONCE = 1000

Text = Annotated[str, Field(max_length=255), WithoutControls]
FIELDS = shown.InstanceInfo.__struct_encode_fields__

ONE = problems(*READING, *FLEET, "instance_not_found", "ambiguous_name", "ambiguous_project")


@router.get(
    "",
    responses=answers(shown.InstanceInfo, many=True) | problems(*READING, *FLEET),
    summary=both("获取所有实例", "List instances"),
)
async def instances(
    request: Request,
    gateway: Gateway,
    who: Who,
    host: HostChoice = None,
    project: ProjectChoice = None,
    status: Annotated[
        Text | None, Query(description=both("状态，不分大小写", "The status, in any case"))
    ] = None,
    kind: Annotated[
        Literal["container", "virtual-machine"] | None,
        Query(alias="type", description=both("类型", "The type")),
    ] = None,
    search: Annotated[
        Text | None,
        Query(
            description=both(
                "名称、描述或地址中的文字", "A text in the name, the description or an address"
            )
        ),
    ] = None,
    fields: Annotated[Long | None, fields_query(FIELDS)] = None,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=MOST_AT_ONCE,
            description=both(
                "至多返回的实例数；默认全部", "The most instances to return; all by default"
            ),
        ),
    ] = None,
    cursor: Cursor = None,
) -> Response:
    """Return the matching instances by name, then host; those of offline hosts as last known.

    If `limit` leaves some out, `X-Next-Cursor` is the `cursor` of the next part.

    返回符合条件的实例，按名称、主机排序；离线主机的实例为最后已知的状态。

    因 `limit` 未全部返回时，`X-Next-Cursor` 是下一部分的 `cursor`。
    """
    question = ListQuery(
        InstanceFilter(host=host, project=project, status=status, type=kind, search=search),
        secrets=who.may_see_secrets,
        part=_part(limit, cursor),
        fields=chosen(fields, FIELDS),
    )
    return conditional_response(request, await gateway.answers.instances(question))


@router.get(
    "/{name}",
    responses=answers(shown.InstanceDetail) | ONE,
    summary=both("获取实例详情", "Get an instance"),
)
async def instance(
    gateway: Gateway,
    who: Who,
    name: Name,
    host: HostChoice = None,
    project: ProjectChoice = None,
) -> Response:
    """Return all about one instance.

    返回一个实例的全部信息。
    """
    known, its_host = known_instance(gateway.fleet, name, host, project)

    def present(known: InstanceView, host: HostView) -> shown.InstanceDetail:
        return shown.detail(known, host, secrets=who.may_see_secrets)

    return read(encoded(gateway.boundary, present)(known, its_host))


@router.get(
    "/{name}/resources",
    responses=answers(shown.ResourceUsage) | ONE,
    summary=both("获取实例资源使用", "Get an instance's use of resources"),
)
async def instance_resources(
    gateway: Gateway, name: Name, host: HostChoice = None, project: ProjectChoice = None
) -> Response:
    """Return what an instance uses, and its limits.

    返回一个实例的资源使用及其限制。
    """
    known, its_host = known_instance(gateway.fleet, name, host, project)
    render = encoded(gateway.boundary, shown.resources)
    return read(render(known, its_host))


def _part(limit: int | None, cursor: str | None) -> PageRequest | None:
    if limit is None and cursor is None:
        return None
    return PageRequest(limit=limit or MOST_AT_ONCE, cursor=cursor)
