"""The templates that a new VM may be made of."""

from __future__ import annotations

from fastapi import APIRouter, Response

from services.gateway.domain.templates import Listed
from services.gateway.http import models
from services.gateway.http.context import Gateway
from services.gateway.http.openapi import READING, TOKEN
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import failures

router = APIRouter(prefix=f"{PREFIX}/templates", tags=["虚拟机"], dependencies=TOKEN)


@router.get(
    "",
    response_model=models.TemplateListAnswer,
    responses=failures(*READING, "fleet_view_not_ready"),
    summary="获取模板列表",
)
async def templates(gateway: Gateway) -> Response:
    """Return the operator's templates, the images that hosts have, those they may fetch."""
    return success({"templates": [_shown(each) for each in gateway.creations.templates()]})


def _shown(listed: Listed) -> dict[str, object]:
    template = listed.template
    return {
        "id": template.id,
        "os": template.os,
        "type": template.type,
        "types": template.types,
        "description": template.description,
        "hosts": listed.hosts,
        "remote": template.remote or None,
    }
