"""Changing instances. Each answer comes with the outcome, or says after a while that it goes on."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Body, Depends, Query, Response

from services.gateway.http import models
from services.gateway.http.dependencies import HostChoice, Name, ProjectChoice
from services.gateway.http.mutations import Asked, Asking, Order, carried_out
from services.gateway.http.name_resolution import known_instance
from services.gateway.http.openapi import CHANGING, FLEET, OPERATING, TOKEN, problems
from services.gateway.http.operation_response import answer
from services.gateway.ports import target_of
from shared.contracts.operations import Arguments, Kind

Empty = Annotated[models.NoFields | None, Body()]

ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"model": models.Result, "description": "尚未完成；`Location` 指向操作"},
    **problems(
        *CHANGING,
        *FLEET,
        "instance_not_found",
        "ambiguous_name",
        "ambiguous_project",
        *OPERATING,
        "instance_running",
        "instance_not_running",
        "instance_not_frozen",
    ),
}

router = APIRouter(prefix="/api/instances", tags=["实例操作"], dependencies=TOKEN)


class Named(NamedTuple):
    """Who asks for a change of which instance."""

    asked: Asked
    name: str
    host: str | None
    project: str | None


async def named_by(
    asked: Asking,
    name: Name,
    host: HostChoice = None,
    project: ProjectChoice = None,
    body: Empty = None,
) -> Named:
    """Return what the request says, but for the kind of change, which the endpoint knows.

    The body is read only to refuse one that has fields.
    """
    return Named(asked, name, host, project)


Ordered = Annotated[Named, Depends(named_by)]
Force = Annotated[bool, Query(description="不等待实例自行关机")]


@router.post("/{name}/start", response_model=models.Result, responses=ANSWERS, summary="启动实例")
async def start(order: Ordered) -> Response:
    """Start it; one that runs already is left alone."""
    return await _carried_out(order, Kind.START)


@router.post("/{name}/stop", response_model=models.Result, responses=ANSWERS, summary="停止实例")
async def stop(order: Ordered, *, force: Force = False) -> Response:
    """Stop it cleanly, and by force when it has not stopped in time."""
    return await _carried_out(order, Kind.STOP, force=force)


@router.post("/{name}/restart", response_model=models.Result, responses=ANSWERS, summary="重启实例")
async def restart(order: Ordered, *, force: Force = False) -> Response:
    """Restart it; a stopped one is refused."""
    return await _carried_out(order, Kind.RESTART, force=force)


@router.post("/{name}/pause", response_model=models.Result, responses=ANSWERS, summary="暂停实例")
async def pause(order: Ordered) -> Response:
    """Freeze it, keeping its memory."""
    return await _carried_out(order, Kind.FREEZE)


@router.post("/{name}/resume", response_model=models.Result, responses=ANSWERS, summary="恢复实例")
async def resume(order: Ordered) -> Response:
    """Let a paused one go on."""
    return await _carried_out(order, Kind.UNFREEZE)


@router.delete("/{name}", response_model=models.Result, responses=ANSWERS, summary="删除实例")
async def delete(
    order: Ordered,
    *,
    force: Annotated[bool, Query(description="强制删除（停止后删除）")] = False,
) -> Response:
    """Delete it; a running one is refused unless forced."""
    return await _carried_out(order, Kind.DELETE, force=force)


async def _carried_out(order: Named, kind: Kind, *, force: bool = False) -> Response:
    known = await carried_out(order.asked, lambda: _order(order, kind, force))
    return answer(known, order.asked.tongue)


def _order(order: Named, kind: Kind, force: bool) -> Order:
    gateway = order.asked.gateway
    target, _ = known_instance(gateway.fleet, order.name, order.host, order.project)
    arguments = Arguments(force=force, stop_timeout_s=gateway.settings.stop_timeout_s)
    return Order(kind, target_of(target), arguments)
