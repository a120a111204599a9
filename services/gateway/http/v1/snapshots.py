"""Snapshots of a VM: listing, making, restoring and deleting them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.error_boundary import EntrySubject
from services.gateway.http.dependencies import Dependencies, Gateway
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.openapi import FLEET, READING, TOKEN, VM_SNAPSHOTS
from services.gateway.http.request_models.vm_snapshots import VmSnapshotCreation
from services.gateway.http.v1.actions import ERRORS, Empty
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.mutations import Mutated, VmMutation
from services.gateway.http.v1.name_resolution import ResolvedInstance, Wanted
from services.gateway.http.v1.openapi import answers, failures, outcomes
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.snapshots import VmSnapshot, VmSnapshots, bare_snapshot, vm_snapshot
from services.gateway.responses.vm_results import VmSnapshotResult
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.operations import Arguments, Kind

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
CHANGED = {**_ON, **failures(*ERRORS, "snapshot_not_found")}


@router.get("", responses=LISTED, summary=both("获取快照列表", "List snapshots"))
async def listed(gateway: Gateway, found: Wanted) -> Response:
    """Return all snapshots, oldest first. The VM's host is asked, and must be online.

    返回全部快照，最早的在前；由主机查询，主机须在线。
    """
    described = await gateway.snapshots.list(found.known.target)
    return success(VmSnapshots([_encoded(each, found, gateway) for each in described]))


@router.post("", responses=MADE, summary=both("创建快照", "Create a snapshot"))
async def make(mutation: Mutated, body: VmSnapshotCreation) -> Response:
    """Create a snapshot; `stateful` includes the memory of a running VM.

    创建快照；`stateful` 包含正在运行的虚拟机的内存。
    """
    arguments = Arguments(snapshot=body.name, description=body.description, stateful=body.stateful)
    return await mutation.execute(Kind.SNAPSHOT, lambda _: arguments)


@router.post(
    "/{snapshotId}/restore",
    responses=CHANGED,
    summary=both("恢复快照", "Restore a snapshot"),
)
async def restore(mutation: Mutated, snapshot: SnapshotId, body: Empty = None) -> Response:
    """Restore a VM to a snapshot; a running one is stopped for it and started again.

    将虚拟机恢复到快照；正在运行的会先停止，之后再启动。
    """
    return await _changed(mutation, Kind.RESTORE, snapshot)


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


def _encoded(
    described: DescribedSnapshot, found: ResolvedInstance, gateway: Dependencies
) -> VmSnapshot:
    name = f"{found.known.instance.name}/{described.snapshot.name}"
    text = gateway.boundary.render(
        EntrySubject("snapshot", found.known.host, name),
        lambda: msgspec.json.encode(vm_snapshot(described)),
        lambda: msgspec.json.encode(bare_snapshot(described)),
    )
    return encoded_as(VmSnapshot, text)


async def _changed(mutation: VmMutation, kind: Kind, snapshot: str) -> Response:
    arguments = Arguments(snapshot=snapshot)
    return await mutation.execute(kind, lambda _: arguments)
