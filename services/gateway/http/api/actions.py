"""Changing instances. Each answer comes with the outcome, or says after a while that it goes on."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Body, Depends, Query, Response

from services.gateway.http import models
from services.gateway.http.dependencies import HostChoice, Name, ProjectChoice
from services.gateway.http.mutations import Mutating, Mutation
from services.gateway.http.name_resolution import known_instance
from services.gateway.http.openapi import CHANGING, FLEET, OPERATING, TOKEN, problems
from services.gateway.http.operation_response import answer
from services.gateway.operations.command import command_for
from shared.contracts.operations import Arguments, Command, Kind

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


class Action(NamedTuple):
    """What the request says, but for the kind of change, which the endpoint knows."""

    mutation: Mutation
    name: str
    host: str | None
    project: str | None

    async def execute(self, kind: Kind, *, force: bool = False) -> Response:
        """Carry the change out, and return the answer."""
        arguments = Arguments(force=force, stop_timeout_s=self.mutation.stop_timeout_s)

        def new_command() -> Command:
            fleet, caller = self.mutation.gateway.fleet, self.mutation.caller
            known, _ = known_instance(fleet, self.name, self.host, self.project)
            return command_for(known, kind, arguments, caller)

        return answer(await self.mutation.execute(new_command), self.mutation.language)


async def action_of(
    mutation: Mutating,
    name: Name,
    host: HostChoice = None,
    project: ProjectChoice = None,
    body: Empty = None,
) -> Action:
    """Return what the request says; the body is read only to refuse one that has fields."""
    return Action(mutation, name, host, project)


Requested = Annotated[Action, Depends(action_of)]
Force = Annotated[bool, Query(description="不等待实例自行关机")]


@router.post("/{name}/start", response_model=models.Result, responses=ANSWERS, summary="启动实例")
async def start(action: Requested) -> Response:
    """Start it; one that runs already is left alone."""
    return await action.execute(Kind.START)


@router.post("/{name}/stop", response_model=models.Result, responses=ANSWERS, summary="停止实例")
async def stop(action: Requested, *, force: Force = False) -> Response:
    """Stop it cleanly, and by force when it has not stopped in time."""
    return await action.execute(Kind.STOP, force=force)


@router.post("/{name}/restart", response_model=models.Result, responses=ANSWERS, summary="重启实例")
async def restart(action: Requested, *, force: Force = False) -> Response:
    """Restart it; a stopped one is refused."""
    return await action.execute(Kind.RESTART, force=force)


@router.post("/{name}/pause", response_model=models.Result, responses=ANSWERS, summary="暂停实例")
async def pause(action: Requested) -> Response:
    """Freeze it, keeping its memory."""
    return await action.execute(Kind.FREEZE)


@router.post("/{name}/resume", response_model=models.Result, responses=ANSWERS, summary="恢复实例")
async def resume(action: Requested) -> Response:
    """Let a paused one go on."""
    return await action.execute(Kind.UNFREEZE)


@router.delete("/{name}", response_model=models.Result, responses=ANSWERS, summary="删除实例")
async def delete(
    action: Requested,
    *,
    force: Annotated[bool, Query(description="强制删除（停止后删除）")] = False,
) -> Response:
    """Delete it; a running one is refused unless forced."""
    return await action.execute(Kind.DELETE, force=force)
