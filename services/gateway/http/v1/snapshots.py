"""Snapshots of a VM: listing, making, marking, restoring and deleting them; VMs made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Body, Path, Response
from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.error_boundary import EntrySubject
from services.gateway.http.dependencies import Dependencies, Gateway
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.mutations import Mutating, Mutation
from services.gateway.http.openapi import CHANGING, FLEET, READING, TOKEN, VM_SNAPSHOTS
from services.gateway.http.request_models.vm_snapshots import (
    VmClone,
    VmRestore,
    VmSnapshotCreation,
    VmSnapshotMarksChange,
)
from services.gateway.http.v1.actions import ERRORS, Empty
from services.gateway.http.v1.create import created
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.mutations import Mutated, VmMutation
from services.gateway.http.v1.name_resolution import (
    Chosen,
    InstanceSelector,
    ResolvedInstance,
    Wanted,
    found,
)
from services.gateway.http.v1.openapi import answers, failures, outcomes
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.snapshots import (
    VmSnapshot,
    VmSnapshotMarks,
    VmSnapshots,
    bare_snapshot,
    vm_snapshot,
)
from services.gateway.responses.vm_results import VmCreated, VmRestored, VmSnapshotResult
from services.gateway.responses.vms import vm_id
from services.gateway.vms.new_vm import VmCopy
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.operations import Arguments, Kind, Operation

router = APIRouter(prefix=f"{PREFIX}/vms/{{id}}/snapshots", tags=[VM_SNAPSHOTS], dependencies=TOKEN)

SnapshotId = Annotated[
    Annotated[str, Field(max_length=255), WithoutControls],
    Path(alias="snapshotId", examples=["backup-2024-01-01"]),
]

LISTED = answers(VmSnapshots) | failures(
    *READING,
    *FLEET,
    "instance_not_found",
    "ambiguous_vm",
    "instance_replaced",
    "host_unreachable",
    "broker_unavailable",
    "database_unavailable",
    "outcome_unknown",
)
_ON = outcomes(VmSnapshotResult)
MADE = {**_ON, **failures(*ERRORS, "snapshot_exists", "instance_not_running")}
RESTORED = {
    **outcomes(VmRestored),
    **failures(*ERRORS, "snapshot_not_found", "snapshot_exists", "worker_outdated"),
}
MARKED = answers(VmSnapshotMarks) | failures(
    *CHANGING,
    *FLEET,
    "instance_not_found",
    "snapshot_not_found",
    "ambiguous_vm",
    "instance_replaced",
    "host_unreachable",
    "broker_unavailable",
    "database_unavailable",
    "outcome_unknown",
    "worker_failed",
    "worker_outdated",
)
CLONED = answers(VmCreated, 201) | failures(
    *CHANGING,
    *FLEET,
    "instance_not_found",
    "snapshot_not_found",
    "ambiguous_vm",
    "insufficient_resources",
    "instance_exists",
    "instance_replaced",
    "idempotency_key_reused",
    "host_unreachable",
    "broker_unavailable",
    "database_unavailable",
    "host_busy",
    "worker_outdated",
)
CHANGED = {**_ON, **failures(*ERRORS, "snapshot_not_found")}


@router.get("", responses=LISTED, summary=both("获取快照列表", "List snapshots"))
async def listed(gateway: Gateway, resolved: Wanted) -> Response:
    """Return all snapshots, oldest first. The VM's host is asked, and must be online.

    返回全部快照，最早的在前；由主机查询，主机须在线。
    """
    described = await gateway.snapshots.list(resolved.known.target)
    return success(VmSnapshots([_encoded(each, resolved, gateway) for each in described]))


@router.post("", responses=MADE, summary=both("创建快照", "Create a snapshot"))
async def make(mutation: Mutated, body: VmSnapshotCreation) -> Response:
    """Create a snapshot; `stateful` includes the memory of a running VM.

    创建快照；`stateful` 包含正在运行的虚拟机的内存。
    """
    arguments = Arguments(snapshot=body.name, description=body.description, stateful=body.stateful)
    return await mutation.execute(Kind.SNAPSHOT, lambda _: arguments)


@router.post(
    "/{snapshotId}/restore",
    responses=RESTORED,
    summary=both("恢复快照", "Restore a snapshot"),
)
async def restore(
    mutation: Mutated,
    snapshot: SnapshotId,
    body: Annotated[VmRestore | None, Body()] = None,
) -> Response:
    """Restore a VM to a snapshot; a running one is stopped for it and started again.

    `safetySnapshot` takes a snapshot of what is there first, whose name is in the answer.

    将虚拟机恢复到快照；正在运行的会先停止，之后再启动。

    `safetySnapshot` 先为现状创建快照，其名称见响应。
    """
    request, gateway = mutation.request, mutation.request.gateway
    safety = _safety_name(body.safety_snapshot if body else False, gateway.now())
    if safety and not await request.recall():
        seen = found(gateway.vms, mutation.selector)
        await gateway.snapshots.require_policies(seen.known.host)
    arguments = Arguments(snapshot=snapshot, safety_snapshot=safety)
    return await mutation.execute(Kind.RESTORE, lambda _: arguments)


@router.put(
    "/{snapshotId}/marks",
    responses=MARKED,
    summary=both("标记快照", "Protect or tag a snapshot"),
)
async def mark(
    gateway: Gateway, resolved: Wanted, snapshot: SnapshotId, body: VmSnapshotMarksChange
) -> Response:
    """Protect a snapshot from all snapshot policies, and tag it for their `keepTags`.

    It replaces earlier marks. Whoever deletes a protected snapshot by hand may still do so.

    使快照不被任何快照策略删除，并设置供其 `keepTags` 使用的标签。

    替换之前的标记；受保护的快照仍可手动删除。
    """
    tags = tuple(dict.fromkeys(body.tags))
    await gateway.snapshots.mark(
        resolved.known.target, snapshot, protected=body.protected, tags=tags
    )
    shown = VmSnapshotMarks(
        id=vm_id(resolved.known), snapshot=snapshot, protected=body.protected, tags=list(tags)
    )
    return success(shown)


@router.post(
    "/{snapshotId}/clone",
    status_code=201,
    responses=CLONED,
    summary=both("由快照创建虚拟机", "Create a VM from a snapshot"),
)
async def clone(request: Mutating, choice: Chosen, snapshot: SnapshotId, body: VmClone) -> Response:
    """Create a new VM from a snapshot on the same host; the old one stays as it is.

    It has an id and a MAC address of its own and no forwarded ports, and is stopped unless
    `autoStart` is given. Its status is `creating` until the host has made it.

    在同一主机上由快照创建新的虚拟机；原虚拟机不变。

    新虚拟机有自己的 id 和 MAC 地址，没有端口转发；未给出 `autoStart` 时不启动。
    主机完成之前其状态为 `creating`。
    """
    return created(await request.recall() or await _cloned(request, choice, snapshot, body))


@router.delete(
    "/{snapshotId}",
    responses=CHANGED,
    summary=both("删除快照", "Delete a snapshot"),
)
async def delete(mutation: Mutated, snapshot: SnapshotId, body: Empty = None) -> Response:
    """Delete a snapshot and its description.

    删除快照及其描述。
    """
    return await _changed(mutation, Kind.DELETE_SNAPSHOT, snapshot)


async def _cloned(
    request: Mutation, choice: InstanceSelector, snapshot: str, body: VmClone
) -> Operation:
    gateway = request.gateway
    source = found(gateway.vms, choice).known
    await gateway.snapshots.require_policies(source.host)
    copy = VmCopy(
        name=body.name,
        snapshot=snapshot,
        auto_start=body.auto_start,
        description=body.description,
        labels=body.labels,
    )
    return await gateway.creations.copy(copy, source, request.caller, request.key)


def _safety_name(wanted: bool | str, now: datetime) -> str:
    """Return the name of the snapshot to take before a restore; empty: none."""
    if isinstance(wanted, str):
        return wanted
    return f"before-restore-{now:%Y%m%dT%H%M%SZ}" if wanted else ""


def _encoded(
    described: DescribedSnapshot, resolved: ResolvedInstance, gateway: Dependencies
) -> VmSnapshot:
    name = f"{resolved.known.instance.name}/{described.snapshot.name}"
    text = gateway.boundary.render(
        EntrySubject("snapshot", resolved.known.host, name),
        lambda: msgspec.json.encode(vm_snapshot(described)),
        lambda: msgspec.json.encode(bare_snapshot(described)),
    )
    return encoded_as(VmSnapshot, text)


async def _changed(mutation: VmMutation, kind: Kind, snapshot: str) -> Response:
    arguments = Arguments(snapshot=snapshot)
    return await mutation.execute(kind, lambda _: arguments)
