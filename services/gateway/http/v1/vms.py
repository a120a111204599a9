"""Reading VMs: pages of the list, one, and its state."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import structs
from pydantic import BeforeValidator, Field

from services.gateway.bilingual import both
from services.gateway.fleet.pagination import PageRequest
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.conditional_response import conditional_response
from services.gateway.http.dependencies import (
    Cursor,
    Gateway,
    HostChoice,
    Long,
    ProjectChoice,
    Who,
    caught_up,
)
from services.gateway.http.errors import language_of, problem_text
from services.gateway.http.field_selection import chosen, fields_query
from services.gateway.http.free_text import FreeText, WithoutControls
from services.gateway.http.openapi import FLEET, READING, TOKEN, VMS
from services.gateway.http.operation_response import error_of
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import WantedOrFailed
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.http.v1.vm_filter import VmFilter
from services.gateway.http.v1.vm_list import PageQuestion
from services.gateway.responses.entry_cache import encoded
from services.gateway.responses.vm_page import VmPage
from services.gateway.responses.vms import (
    FIELDS,
    Vm,
    VmState,
    vm,
    vm_state,
)
from shared.contracts.instance_etag import etag

MOST_ON_A_PAGE = 1000

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=[*TOKEN, Depends(caught_up)])

ONE = failures(*READING, *FLEET, "instance_not_found", "ambiguous_vm")

Status = Literal["running", "stopped", "paused", "creating", "error"]


Text = Annotated[str, Field(max_length=255), WithoutControls]
# The document's clients send an empty filter where they want none.
Given = BeforeValidator(lambda text: text or None)
Search = Annotated[
    Text | None,
    Given,
    Query(
        description=both(
            "名称、id、地址或描述中的文字",
            "A text in the name, id, an address or the description",
        )
    ),
]


async def wanted_by(
    status: Annotated[
        Status | None, Given, Query(description=both("按状态过滤", "Filter by status"))
    ] = None,
    search: Search = None,
    host: HostChoice = None,
    kind: Annotated[
        Literal["container", "virtual-machine"] | None,
        Query(alias="type", description=both("类型", "The type")),
    ] = None,
    project: ProjectChoice = None,
    label: Annotated[
        list[FreeText] | None,
        Query(
            description=both(
                "标签 `键` 或 `键=值`；可重复，须全部符合",
                "A label as `key` or `key=value`; if repeated, all must match",
            )
        ),
    ] = None,
) -> VmFilter:
    """Return which VMs the request asks for."""
    return VmFilter(status, search, host, kind, project, tuple(label or ()))


async def part_of(
    page: Annotated[int, Query(ge=1, description=both("页码", "Number of the page"))] = 1,
    limit: Annotated[
        int,
        Query(
            description=both(
                f"每页数量，1 到 {MOST_ON_A_PAGE}；超出时取最近的值",
                f"Entries on a page, 1 to {MOST_ON_A_PAGE}; beyond that the nearest value",
            )
        ),
    ] = 10,
    cursor: Cursor = None,
) -> PageRequest:
    """Return which part of the list the request asks for."""
    return PageRequest(min(max(limit, 1), MOST_ON_A_PAGE), page, cursor)


@router.get(
    "",
    responses=answers(VmPage) | failures(*READING, *FLEET),
    summary=both("获取虚拟机列表", "List VMs"),
)
async def vms(
    request: Request,
    gateway: Gateway,
    who: Who,
    wanted: Annotated[VmFilter, Depends(wanted_by)],
    part: Annotated[PageRequest, Depends(part_of)],
    fields: Annotated[Long | None, fields_query(FIELDS)] = None,
) -> Response:
    """Return a page of the matching VMs, by their names in LXD, then host.

    `nextCursor` leads to the next page without gaps, whatever comes or goes meanwhile; with a
    `cursor`, `page` is ignored.

    返回符合条件的虚拟机的一页，按 LXD 中的名称、主机排序。

    `nextCursor` 通向下一页，其间的增减不会造成遗漏；给出 `cursor` 时忽略 `page`。
    """
    question = PageQuestion(wanted, part, who.may_see_secrets, chosen(fields, FIELDS))
    return conditional_response(request, await gateway.pages.page(question))


@router.get("/{id}", responses=answers(Vm) | ONE, summary=both("获取虚拟机详情", "Get a VM"))
async def one(request: Request, gateway: Gateway, found: WantedOrFailed, who: Who) -> Response:
    """Return all about one VM; `If-Match` with its `ETag` guards a later change.

    One that could not be created is in no list; here its status is `error`, and `error` says why.

    返回一台虚拟机的全部信息；之后的更改可用 `If-Match` 带上其 `ETag`。

    创建失败的不在任何列表中；此处其状态为 `error`，`error` 为原因。
    """

    def present(known: InstanceView, host: HostView) -> Vm:
        shown = vm(known, host, secrets=who.may_see_secrets)
        if known.creation and known.creation.final:
            why = problem_text(error_of(known.creation), language_of(request))
            return structs.replace(shown, error=why)
        return shown

    shown = msgspec.Raw(encoded(gateway.boundary, present)(*found))
    return success(shown, headers={"etag": f'"{etag(found.known.instance)}"'})


@router.get(
    "/{id}/status",
    responses=answers(VmState) | ONE,
    summary=both("获取虚拟机状态", "Get a VM's state"),
)
async def state(gateway: Gateway, found: WantedOrFailed) -> Response:
    """Return the state of one VM, and whether that is current.

    返回一台虚拟机的状态，以及它是否为当前状态。
    """
    return success(msgspec.Raw(encoded(gateway.boundary, vm_state)(*found)))
