"""Moving a VM through its life, and changing what it is set to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response

from services.gateway.http import models
from services.gateway.http.etag import etags
from services.gateway.http.free_text import HeaderText
from services.gateway.http.openapi import CHANGING, FLEET, OPERATING, TOKEN
from services.gateway.http.v1.envelope import PREFIX
from services.gateway.http.v1.mutations import Mutated, VmMutation
from services.gateway.http.v1.name_resolution import ResolvedInstance
from services.gateway.http.v1.openapi import failures
from services.gateway.http.v1.updates import changes, given
from services.gateway.responses.vms import vm
from services.gateway.vms.naming import new_name, shown_name
from shared.contracts.errors import InstanceChangedSince
from shared.contracts.instances import etag
from shared.contracts.operations import Arguments, Kind

router = APIRouter(prefix=f"{PREFIX}/vms", tags=["虚拟机"], dependencies=TOKEN)

ERRORS = (
    *CHANGING,
    *FLEET,
    "instance_not_found",
    "ambiguous_vm",
    *OPERATING,
)
GOES_ON = {"description": "尚未完成；`Location` 指向操作"}
MOVED: dict[int | str, dict[str, Any]] = {
    202: {"model": models.VmResultAnswer, **GOES_ON},
    **failures(*ERRORS, "instance_running", "instance_not_running"),
}
UPDATED: dict[int | str, dict[str, Any]] = {
    202: {"model": models.VmUpdatedAnswer, **GOES_ON},
    **failures(*ERRORS, "instance_changed_since", "insufficient_resources"),
}
RENAMED: dict[int | str, dict[str, Any]] = {
    202: {"model": models.VmResultAnswer, **GOES_ON},
    **failures(*ERRORS, "instance_running", "instance_exists"),
}


Empty = Annotated[models.VmNoFields | None, Body()]
Force = Annotated[models.VmForce | None, Body()]
IfMatch = Annotated[
    HeaderText | None, Header(alias="If-Match", description="仅当 `ETag` 仍是此值时更改")
]


@router.post(
    "/{id}/start", response_model=models.VmResultAnswer, responses=MOVED, summary="启动虚拟机"
)
async def start(mutation: Mutated, body: Empty = None) -> Response:
    """Start it; `VM_ALREADY_RUNNING` where it runs or is paused."""
    return await _moved(mutation, Kind.START)


@router.post(
    "/{id}/stop", response_model=models.VmResultAnswer, responses=MOVED, summary="停止虚拟机"
)
async def stop(mutation: Mutated, body: Force = None) -> Response:
    """Stop it cleanly, and by force when it has not stopped in time or `force` is given."""
    return await _moved(mutation, Kind.STOP, body)


@router.post(
    "/{id}/restart", response_model=models.VmResultAnswer, responses=MOVED, summary="重启虚拟机"
)
async def restart(mutation: Mutated, body: Force = None) -> Response:
    """Restart it; `VM_ALREADY_STOPPED` where it is stopped."""
    return await _moved(mutation, Kind.RESTART, body)


@router.post(
    "/{id}/pause", response_model=models.VmResultAnswer, responses=MOVED, summary="暂停虚拟机"
)
async def pause(mutation: Mutated, body: Empty = None) -> Response:
    """Let it stand still, keeping its memory; one that is paused already is left so."""
    return await _moved(mutation, Kind.FREEZE)


@router.post(
    "/{id}/resume", response_model=models.VmResultAnswer, responses=MOVED, summary="恢复虚拟机"
)
async def resume(mutation: Mutated, body: Empty = None) -> Response:
    """Let a paused one go on; `VM_ALREADY_RUNNING` where it runs."""
    return await _moved(mutation, Kind.UNFREEZE)


@router.delete("/{id}", response_model=models.VmResultAnswer, responses=MOVED, summary="删除虚拟机")
async def delete(
    mutation: Mutated,
    *,
    force: Annotated[bool, Query(description="先停止正在运行的虚拟机")] = False,
    body: Empty = None,
) -> Response:
    """Delete it; one that runs is refused as `VM_ALREADY_RUNNING` unless forced."""
    return await _moved(mutation, Kind.DELETE, models.VmForce(force=force))


@router.put(
    "/{id}", response_model=models.VmUpdatedAnswer, responses=UPDATED, summary="更新虚拟机配置"
)
async def update(
    mutation: Mutated,
    body: models.VmUpdateBody,
    if_match: IfMatch = None,
) -> Response:
    """Change what is given, at once where LXD can.

    `needsRestart` names what counts from the next start.
    """
    secrets = mutation.request.caller.may_see_secrets

    def arguments(seen: ResolvedInstance) -> Arguments | None:
        tag = demanded_tag(seen, if_match)
        shown = vm(*seen, secrets=secrets)
        wanted = changes(given(body, shown), shown)
        return Arguments(changes=wanted, etag=tag) if wanted else None

    return await mutation.execute(Kind.UPDATE, arguments)


@router.post(
    "/{id}/rename", response_model=models.VmResultAnswer, responses=RENAMED, summary="重命名虚拟机"
)
async def rename(mutation: Mutated, body: models.VmRename) -> Response:
    """Give it another name; where LXD's own name changes with it, it must be stopped."""

    def arguments(seen: ResolvedInstance) -> Arguments | None:
        if body.name == shown_name(seen.known.instance):
            return None
        neighbours = mutation.request.gateway.vms.instances(seen.known.host)
        name = new_name(body.name, seen.known, neighbours)
        return Arguments(new_name=name, display_name=body.name)

    return await mutation.execute(Kind.RENAME, arguments)


async def _moved(
    mutation: VmMutation, kind: Kind, manner: models.VmForce | None = None
) -> Response:
    arguments = Arguments(
        force=manner is not None and manner.force,
        stop_timeout_s=mutation.request.stop_timeout_s,
    )
    return await mutation.execute(kind, lambda _: arguments)


def demanded_tag(seen: ResolvedInstance, if_match: str | None) -> str:
    """Return the tag that the instance must still have, empty for any.

    Raises InstanceChangedSince where it has another one already.
    """
    if if_match is None or if_match.strip() == "*":
        return ""
    tag = etag(seen.known.instance)
    if tag not in etags(if_match):
        raise InstanceChangedSince(seen.known.instance.name)
    return tag
