"""Reading VMs: pages of the list, one, and its state."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import structs
from pydantic import BeforeValidator, Field

from services.gateway.fleet.pagination import PageRequest
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http import models
from services.gateway.http.dependencies import (
    Cursor,
    Gateway,
    HostChoice,
    Long,
    ProjectChoice,
    Who,
    caught_up,
)
from services.gateway.http.errors import problem_text, tongue_of
from services.gateway.http.etag import conditional_response
from services.gateway.http.field_selection import chosen, fields_query
from services.gateway.http.free_text import FreeText, WithoutControls
from services.gateway.http.openapi import FLEET, READING, TOKEN
from services.gateway.http.operation_response import error_of
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import WantedOrFailed
from services.gateway.http.v1.openapi import failures
from services.gateway.http.v1.vm_filter import VmFilter
from services.gateway.http.v1.vm_list import PageQuestion
from services.gateway.responses.entries import encoded
from services.gateway.responses.vms import (
    FIELDS,
    Vm,
    vm,
    vm_state,
)
from shared.contracts.instances import etag

MOST_ON_A_PAGE = 1000

router = APIRouter(
    prefix=f"{PREFIX}/vms", tags=["虚拟机"], dependencies=[*TOKEN, Depends(caught_up)]
)

ONE = failures(*READING, *FLEET, "instance_not_found", "ambiguous_vm")

Status = Literal["running", "stopped", "paused", "creating", "error"]


Text = Annotated[str, Field(max_length=255), WithoutControls]
# The document's clients send an empty filter where they want none.
Given = BeforeValidator(lambda text: text or None)


async def wanted_by(
    status: Annotated[Status | None, Given, Query(description="按状态过滤")] = None,
    search: Annotated[Text | None, Given, Query(description="名称、id、地址或描述中的文字")] = None,
    host: HostChoice = None,
    kind: Annotated[
        Literal["container", "virtual-machine"] | None, Query(alias="type", description="类型")
    ] = None,
    project: ProjectChoice = None,
    label: Annotated[
        list[FreeText] | None, Query(description="标签 `键` 或 `键=值`；可重复，须全部符合")
    ] = None,
) -> VmFilter:
    """Return which VMs the request asks for."""
    return VmFilter(status, search, host, kind, project, tuple(label or ()))


async def part_of(
    page: Annotated[int, Query(ge=1, description="页码")] = 1,
    limit: Annotated[
        int, Query(description=f"每页数量，1 到 {MOST_ON_A_PAGE}；超出时取最近的值")
    ] = 10,
    cursor: Cursor = None,
) -> PageRequest:
    """Return which part of the list the request asks for."""
    return PageRequest(min(max(limit, 1), MOST_ON_A_PAGE), page, cursor)


@router.get(
    "",
    response_model=models.VmPageAnswer,
    responses=failures(*READING, *FLEET),
    summary="获取虚拟机列表",
)
async def vms(
    request: Request,
    gateway: Gateway,
    who: Who,
    wanted: Annotated[VmFilter, Depends(wanted_by)],
    part: Annotated[PageRequest, Depends(part_of)],
    fields: Annotated[Long | None, fields_query(FIELDS)] = None,
) -> Response:
    """Return a page of the VMs that fit, by LXD's name, then host.

    `nextCursor` of a page leads to the next one without gaps, whatever comes or goes meanwhile;
    with a `cursor`, `page` counts for nothing.
    """
    question = PageQuestion(wanted, part, who.may_see_secrets, chosen(fields, FIELDS))
    return conditional_response(request, gateway.pages.page(question))


@router.get("/{id}", response_model=models.VmAnswer, responses=ONE, summary="获取虚拟机详情")
async def one(request: Request, gateway: Gateway, found: WantedOrFailed, who: Who) -> Response:
    """Return all about one VM; its `ETag` guards a change with `If-Match`.

    One that could not be created is in no list, and here has status `error` and says why.
    """

    def present(known: InstanceView, host: HostView) -> Vm:
        shown = vm(known, host, secrets=who.may_see_secrets)
        if known.creation and known.creation.final:
            why = problem_text(error_of(known.creation), tongue_of(request))
            return structs.replace(shown, error=why)
        return shown

    shown = msgspec.Raw(encoded(gateway.boundary, present)(*found))
    return success(shown, headers={"etag": f'"{etag(found.known.instance)}"'})


@router.get(
    "/{id}/status", response_model=models.VmStateAnswer, responses=ONE, summary="获取虚拟机状态"
)
async def state(gateway: Gateway, found: WantedOrFailed) -> Response:
    """Return the state of one VM, and whether it is known to be so now."""
    return success(msgspec.Raw(encoded(gateway.boundary, vm_state)(*found)))
