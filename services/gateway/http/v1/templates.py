"""The templates that a new VM may be made of."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Response

from services.gateway.bilingual import both
from services.gateway.error_boundary import NOT_RENDERABLE, EntrySubject, ErrorBoundary
from services.gateway.http.dependencies import Gateway
from services.gateway.http.openapi import READING, TOKEN, VMS
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.templates import TemplateList, TemplateView, template_view
from services.gateway.vms.templates import ListedTemplate, Template
from shared.contracts.bounds import clip

router = APIRouter(prefix=f"{PREFIX}/templates", tags=[VMS], dependencies=TOKEN)


@router.get(
    "",
    responses=answers(TemplateList) | failures(*READING, "fleet_view_not_ready"),
    summary=both("获取模板列表", "List templates"),
)
async def templates(gateway: Gateway) -> Response:
    """Return the operator's templates, the images of the hosts, and those that they may fetch.

    返回管理员的模板、各主机本地的镜像，以及可以获取的镜像。
    """
    listed = gateway.creations.templates()
    return success(TemplateList([_encoded(each, gateway.boundary) for each in listed]))


def _encoded(listed: ListedTemplate, boundary: ErrorBoundary) -> TemplateView:
    text = boundary.render(
        EntrySubject("template", ",".join(listed.hosts[:1]), listed.template.id),
        lambda: msgspec.json.encode(template_view(listed)),
        lambda: msgspec.json.encode(template_view(_bare(listed), NOT_RENDERABLE)),
    )
    return encoded_as(TemplateView, text)


def _bare(listed: ListedTemplate) -> ListedTemplate:
    """Return a template that cannot be rendered with nothing but its name and its hosts."""
    named = Template(clip(listed.template.id), "", (), listed.template.type)
    return ListedTemplate(named, listed.hosts)
