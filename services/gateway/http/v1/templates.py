"""The templates that a new VM may be made of."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Response

from services.gateway.error_boundary import NOT_RENDERABLE, EntrySubject, ErrorBoundary
from services.gateway.http import models
from services.gateway.http.dependencies import Gateway
from services.gateway.http.openapi import READING, TOKEN
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import failures
from services.gateway.vms.templates import ListedTemplate, Template
from shared.contracts.bounds import clip

router = APIRouter(prefix=f"{PREFIX}/templates", tags=["虚拟机"], dependencies=TOKEN)


@router.get(
    "",
    response_model=models.TemplateListAnswer,
    responses=failures(*READING, "fleet_view_not_ready"),
    summary="获取模板列表",
)
async def templates(gateway: Gateway) -> Response:
    """Return the operator's templates, the images that hosts have, those they may fetch."""
    listed = gateway.creations.templates()
    return success({"templates": [_encoded(each, gateway.boundary) for each in listed]})


def _encoded(listed: ListedTemplate, boundary: ErrorBoundary) -> msgspec.Raw:
    text = boundary.render(
        EntrySubject("template", ",".join(listed.hosts[:1]), listed.template.id),
        lambda: msgspec.json.encode(_shown(listed)),
        lambda: msgspec.json.encode(_shown(_bare(listed)) | {"error": NOT_RENDERABLE}),
    )
    return msgspec.Raw(text)


def _bare(listed: ListedTemplate) -> ListedTemplate:
    """Return a template that cannot be rendered with nothing but its name and its hosts."""
    named = Template(clip(listed.template.id), "", (), listed.template.type)
    return ListedTemplate(named, listed.hosts)


def _shown(listed: ListedTemplate) -> dict[str, object]:
    template = listed.template
    return {
        "id": template.id,
        "os": template.os,
        "type": template.type,
        "types": template.types,
        "description": template.description,
        "hosts": listed.hosts,
        "images": [image._asdict() for image in listed.images],
        "remote": template.remote or None,
    }
