"""Changing instances. Each answer comes with the outcome, or says after a while that it goes on."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Body, Depends, Query, Response

from services.gateway.bilingual import both
from services.gateway.http.dependencies import HostChoice, Name, ProjectChoice
from services.gateway.http.mutations import Mutating, Mutation
from services.gateway.http.name_resolution import known_instance
from services.gateway.http.openapi import (
    CHANGING,
    FLEET,
    INSTANCE_ACTIONS,
    OPERATING,
    TOKEN,
    Responses,
    outcomes,
    problems,
)
from services.gateway.http.operation_response import answer
from services.gateway.http.request_models.vm_actions import NoFields
from services.gateway.operations.command import command_for
from services.gateway.responses.operations import Result
from shared.contracts.operations import Arguments, Command, Kind

Empty = Annotated[NoFields | None, Body()]

ANSWERS: Responses = {
    **outcomes(Result),
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

router = APIRouter(prefix="/api/instances", tags=[INSTANCE_ACTIONS], dependencies=TOKEN)


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
Force = Annotated[
    bool,
    Query(
        description=both(
            "不等待实例自行关机", "Do not wait for the instance to shut down by itself"
        )
    ),
]


@router.post("/{name}/start", responses=ANSWERS, summary=both("启动实例", "Start an instance"))
async def start(action: Requested) -> Response:
    """Start an instance; a running one is left alone.

    启动实例；已在运行的不作更改。
    """
    return await action.execute(Kind.START)


@router.post("/{name}/stop", responses=ANSWERS, summary=both("停止实例", "Stop an instance"))
async def stop(action: Requested, *, force: Force = False) -> Response:
    """Stop an instance cleanly, and by force if it has not stopped in time.

    正常停止实例，超时未停止则强制停止。
    """
    return await action.execute(Kind.STOP, force=force)


@router.post("/{name}/restart", responses=ANSWERS, summary=both("重启实例", "Restart an instance"))
async def restart(action: Requested, *, force: Force = False) -> Response:
    """Restart an instance; a stopped one is refused.

    重启实例；已停止的会被拒绝。
    """
    return await action.execute(Kind.RESTART, force=force)


@router.post("/{name}/pause", responses=ANSWERS, summary=both("暂停实例", "Pause an instance"))
async def pause(action: Requested) -> Response:
    """Freeze an instance, keeping its memory.

    暂停实例，保留其内存。
    """
    return await action.execute(Kind.FREEZE)


@router.post("/{name}/resume", responses=ANSWERS, summary=both("恢复实例", "Resume an instance"))
async def resume(action: Requested) -> Response:
    """Resume a paused instance.

    恢复已暂停的实例。
    """
    return await action.execute(Kind.UNFREEZE)


@router.delete("/{name}", responses=ANSWERS, summary=both("删除实例", "Delete an instance"))
async def delete(
    action: Requested,
    *,
    force: Annotated[
        bool,
        Query(
            description=both("强制删除（停止后删除）", "Stop a running instance, then delete it")
        ),
    ] = False,
) -> Response:
    """Delete an instance; a running one is refused without `force`.

    删除实例；正在运行的须给出 `force`，否则被拒绝。
    """
    return await action.execute(Kind.DELETE, force=force)
