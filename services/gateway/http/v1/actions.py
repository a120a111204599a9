"""Moving a VM through its life, and changing what it is set to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Response

from services.gateway.bilingual import both
from services.gateway.http.conditional_response import etags
from services.gateway.http.free_text import HeaderText
from services.gateway.http.openapi import CHANGING, FLEET, OPERATING, TOKEN, VMS, Responses
from services.gateway.http.request_models.vm_actions import VmForce, VmNoFields, VmRename
from services.gateway.http.request_models.vm_update import VmUpdateBody
from services.gateway.http.v1.envelope import PREFIX
from services.gateway.http.v1.mutations import Mutated, VmMutation
from services.gateway.http.v1.name_resolution import ResolvedInstance
from services.gateway.http.v1.openapi import failures, outcomes
from services.gateway.http.v1.updates import changes, given
from services.gateway.responses.vm_results import VmResult, VmUpdated
from services.gateway.responses.vms import vm
from services.gateway.vms.naming import display_name_of, new_name
from shared.contracts.errors import InstanceChangedSince
from shared.contracts.instance_etag import etag
from shared.contracts.operations import Arguments, Kind

router = APIRouter(prefix=f"{PREFIX}/vms", tags=[VMS], dependencies=TOKEN)

ERRORS = (
    *CHANGING,
    *FLEET,
    "instance_not_found",
    "ambiguous_vm",
    *OPERATING,
)
MOVED: Responses = {
    **outcomes(VmResult),
    **failures(*ERRORS, "instance_running", "instance_not_running"),
}
UPDATED: Responses = {
    **outcomes(VmUpdated),
    **failures(*ERRORS, "instance_changed_since", "insufficient_resources"),
}
RENAMED: Responses = {
    **outcomes(VmResult),
    **failures(*ERRORS, "instance_running", "instance_exists"),
}


Empty = Annotated[VmNoFields | None, Body()]
Force = Annotated[VmForce | None, Body()]
IfMatch = Annotated[
    HeaderText | None,
    Header(
        alias="If-Match",
        description=both(
            "仅当 `ETag` 仍是此值时更改", "Change it only while its `ETag` is this one"
        ),
    ),
]


@router.post("/{id}/start", responses=MOVED, summary=both("启动虚拟机", "Start a VM"))
async def start(mutation: Mutated, body: Empty = None) -> Response:
    """Start a VM; `VM_ALREADY_RUNNING` if it is running or paused.

    启动虚拟机；正在运行或已暂停时为 `VM_ALREADY_RUNNING`。
    """
    return await _moved(mutation, Kind.START)


@router.post("/{id}/stop", responses=MOVED, summary=both("停止虚拟机", "Stop a VM"))
async def stop(mutation: Mutated, body: Force = None) -> Response:
    """Stop a VM cleanly, and by force if it has not stopped in time or `force` is given.

    正常停止虚拟机；超时未停止或给出 `force` 时强制停止。
    """
    return await _moved(mutation, Kind.STOP, body)


@router.post("/{id}/restart", responses=MOVED, summary=both("重启虚拟机", "Restart a VM"))
async def restart(mutation: Mutated, body: Force = None) -> Response:
    """Restart a VM; `VM_ALREADY_STOPPED` if it is stopped.

    重启虚拟机；已停止时为 `VM_ALREADY_STOPPED`。
    """
    return await _moved(mutation, Kind.RESTART, body)


@router.post("/{id}/pause", responses=MOVED, summary=both("暂停虚拟机", "Pause a VM"))
async def pause(mutation: Mutated, body: Empty = None) -> Response:
    """Pause a VM, keeping its memory; a paused one is left alone.

    暂停虚拟机，保留其内存；已暂停的不作更改。
    """
    return await _moved(mutation, Kind.FREEZE)


@router.post("/{id}/resume", responses=MOVED, summary=both("恢复虚拟机", "Resume a VM"))
async def resume(mutation: Mutated, body: Empty = None) -> Response:
    """Resume a paused VM; `VM_ALREADY_RUNNING` if it is running.

    恢复已暂停的虚拟机；正在运行时为 `VM_ALREADY_RUNNING`。
    """
    return await _moved(mutation, Kind.UNFREEZE)


@router.delete("/{id}", responses=MOVED, summary=both("删除虚拟机", "Delete a VM"))
async def delete(
    mutation: Mutated,
    *,
    force: Annotated[
        bool, Query(description=both("先停止正在运行的虚拟机", "Stop a running VM first"))
    ] = False,
    body: Empty = None,
) -> Response:
    """Delete a VM; `VM_ALREADY_RUNNING` if it is running and `force` is not given.

    删除虚拟机；正在运行且未给出 `force` 时为 `VM_ALREADY_RUNNING`。
    """
    return await _moved(mutation, Kind.DELETE, VmForce(force=force))


@router.put("/{id}", responses=UPDATED, summary=both("更新虚拟机配置", "Update a VM"))
async def update(
    mutation: Mutated,
    body: VmUpdateBody,
    if_match: IfMatch = None,
) -> Response:
    """Change the given fields of a VM, at once where LXD can.

    `needsRestart` names those that take effect at the next start.

    更改给出的字段，LXD 支持的立即生效。

    `needsRestart` 列出下次启动后才生效的字段。
    """
    secrets = mutation.request.caller.may_see_secrets

    def arguments(seen: ResolvedInstance) -> Arguments | None:
        tag = demanded_tag(seen, if_match)
        shown = vm(*seen, secrets=secrets)
        wanted = changes(given(body, shown), shown)
        return Arguments(changes=wanted, etag=tag) if wanted else None

    return await mutation.execute(Kind.UPDATE, arguments)


@router.post("/{id}/rename", responses=RENAMED, summary=both("重命名虚拟机", "Rename a VM"))
async def rename(mutation: Mutated, body: VmRename) -> Response:
    """Rename a VM; it must be stopped if its name in LXD changes with it.

    重命名虚拟机；LXD 中的名称随之改变时，虚拟机须已停止。
    """

    def arguments(seen: ResolvedInstance) -> Arguments | None:
        if body.name == display_name_of(seen.known.instance):
            return None
        neighbours = mutation.request.gateway.vms.instances(seen.known.host)
        name = new_name(body.name, seen.known, neighbours)
        return Arguments(new_name=name, display_name=body.name)

    return await mutation.execute(Kind.RENAME, arguments)


async def _moved(mutation: VmMutation, kind: Kind, manner: VmForce | None = None) -> Response:
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
