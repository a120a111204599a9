"""Tickets for WebSockets of browsers."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.gateway.http import models
from services.gateway.http.dependencies import Gateway, Who
from services.gateway.http.openapi import CHANGING, TOKEN, problems
from services.gateway.http.tickets import LIFETIME_S

router = APIRouter(tags=["实时监控"], dependencies=TOKEN)


@router.post(
    "/api/ws-tickets",
    response_model=models.Ticket,
    status_code=201,
    responses=problems(*CHANGING),
    summary="获取一次性票据",
)
async def ticket(gateway: Gateway, who: Who) -> JSONResponse:
    """Return a ticket that opens one WebSocket as the caller, once, within 30 seconds."""
    body = {"ticket": gateway.tickets.issue(who), "expires_in_s": int(LIFETIME_S)}
    return JSONResponse(body, status_code=201, headers={"cache-control": "no-store"})
