"""Tickets for WebSockets of browsers."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Response

from services.gateway.bilingual import both
from services.gateway.http.dependencies import Gateway, Who
from services.gateway.http.openapi import CHANGING, MONITORING, TOKEN, answers, problems
from services.gateway.http.tickets import LIFETIME_S
from services.gateway.responses.system import Ticket

router = APIRouter(tags=[MONITORING], dependencies=TOKEN)


@router.post(
    "/api/ws-tickets",
    status_code=201,
    responses=answers(Ticket, 201) | problems(*CHANGING),
    summary=both("获取一次性票据", "Get a one-time ticket"),
)
async def ticket(gateway: Gateway, who: Who) -> Response:
    """Return a ticket that opens one WebSocket as the caller, within 30 seconds.

    返回一张票据，30 秒内可以调用者的身份打开一个 WebSocket。
    """
    body = msgspec.json.encode(Ticket(gateway.tickets.issue(who), int(LIFETIME_S)))
    headers = {"cache-control": "no-store"}
    return Response(body, status_code=201, headers=headers, media_type="application/json")
