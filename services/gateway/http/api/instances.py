"""Reading instances: the list, one, and its use of resources."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.gateway.fleet.pagination import PageRequest
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http import models
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
from services.gateway.http.etag import conditional_response
from services.gateway.http.field_selection import chosen, fields_query
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.instance_list import InstanceFilter, ListQuery
from services.gateway.http.name_resolution import known_instance
from services.gateway.http.openapi import FLEET, READING, TOKEN, problems
from services.gateway.responses import instances as shown
from services.gateway.responses.entries import encoded

router = APIRouter(
    prefix="/api/instances", tags=["实例"], dependencies=[*TOKEN, Depends(caught_up)]
)

MOST_AT_ONCE = 1000

Text = Annotated[str, Field(max_length=255), WithoutControls]

ONE = problems(*READING, *FLEET, "instance_not_found", "ambiguous_name", "ambiguous_project")


@router.get(
    "",
    response_model=list[models.InstanceInfo],
    responses=problems(*READING, *FLEET),
    summary="获取所有实例",
)
async def instances(
    request: Request,
    gateway: Gateway,
    who: Who,
    host: HostChoice = None,
    project: ProjectChoice = None,
    status: Annotated[Text | None, Query(description="状态，不分大小写")] = None,
    kind: Annotated[
        Literal["container", "virtual-machine"] | None, Query(alias="type", description="类型")
    ] = None,
    search: Annotated[Text | None, Query(description="名称、描述或地址中的文字")] = None,
    fields: Annotated[Long | None, fields_query(models.InstanceInfo.model_fields)] = None,
    limit: Annotated[
        int | None, Query(ge=1, le=MOST_AT_ONCE, description="至多返回的实例数；默认全部")
    ] = None,
    cursor: Cursor = None,
) -> Response:
    """Return the instances that fit, by name then host; those of absent hosts as they were.

    Where `limit` leaves some out, `X-Next-Cursor` is the `cursor` of the next part.
    """
    question = ListQuery(
        InstanceFilter(host=host, project=project, status=status, type=kind, search=search),
        secrets=who.may_see_secrets,
        part=_part(limit, cursor),
        fields=chosen(fields, models.InstanceInfo.model_fields),
    )
    return conditional_response(request, gateway.answers.instances(question))


@router.get("/{name}", response_model=models.InstanceDetail, responses=ONE, summary="获取实例详情")
async def instance(
    gateway: Gateway,
    who: Who,
    name: Name,
    host: HostChoice = None,
    project: ProjectChoice = None,
) -> Response:
    """Return all about one instance."""
    known, its_host = known_instance(gateway.fleet, name, host, project)

    def present(known: InstanceView, host: HostView) -> shown.InstanceDetail:
        return shown.detail(known, host, secrets=who.may_see_secrets)

    return read(encoded(gateway.boundary, present)(known, its_host))


@router.get(
    "/{name}/resources",
    response_model=models.ResourceUsage,
    responses=ONE,
    summary="获取实例资源使用",
)
async def instance_resources(
    gateway: Gateway, name: Name, host: HostChoice = None, project: ProjectChoice = None
) -> Response:
    """Return what one instance uses, and its limits."""
    known, its_host = known_instance(gateway.fleet, name, host, project)
    render = encoded(gateway.boundary, shown.resources)
    return read(render(known, its_host))


def _part(limit: int | None, cursor: str | None) -> PageRequest | None:
    if limit is None and cursor is None:
        return None
    return PageRequest(limit=limit or MOST_AT_ONCE, cursor=cursor)
