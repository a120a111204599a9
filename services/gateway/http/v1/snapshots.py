"""Snapshots of a VM: listing, making, restoring and deleting them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Response
from pydantic import Field

from services.gateway.error_boundary import EntrySubject
from services.gateway.http import models
from services.gateway.http.dependencies import Dependencies, Gateway
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.openapi import FLEET, READING, TOKEN
from services.gateway.http.v1.actions import ERRORS, GOES_ON, Empty
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.mutations import Mutated, VmMutation
from services.gateway.http.v1.name_resolution import ResolvedInstance, Wanted
from services.gateway.http.v1.openapi import failures
from services.gateway.responses.snapshots import bare_snapshot, snapshot_view
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.operations import Arguments, Kind

router = APIRouter(prefix=f"{PREFIX}/vms/{{id}}/snapshots", tags=["虚拟机快照"], dependencies=TOKEN)

SnapshotId = Annotated[
    Annotated[str, Field(max_length=255), WithoutControls],
    Path(alias="snapshotId", examples=["backup-2024-01-01"]),
]

LISTED = failures(
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
_ON: dict[int | str, dict[str, Any]] = {202: {"model": models.VmSnapshotResultAnswer, **GOES_ON}}
MADE = {**_ON, **failures(*ERRORS, "snapshot_exists", "instance_not_running")}
CHANGED = {**_ON, **failures(*ERRORS, "snapshot_not_found")}


@router.get("", response_model=models.VmSnapshotsAnswer, responses=LISTED, summary="获取快照列表")
async def listed(gateway: Gateway, found: Wanted) -> Response:
    """Return all snapshots, oldest first; the VM's host is asked, and must be there."""
    described = await gateway.snapshots.list(found.known.target)
    return success({"snapshots": [_encoded(each, found, gateway) for each in described]})


@router.post("", response_model=models.VmSnapshotResultAnswer, responses=MADE, summary="创建快照")
async def make(mutation: Mutated, body: models.VmSnapshotCreation) -> Response:
    """Make a snapshot; `stateful` keeps the memory of a running one as well."""
    arguments = Arguments(snapshot=body.name, description=body.description, stateful=body.stateful)
    return await mutation.execute(Kind.SNAPSHOT, lambda _: arguments)


@router.post(
    "/{snapshotId}/restore",
    response_model=models.VmSnapshotResultAnswer,
    responses=CHANGED,
    summary="恢复快照",
)
async def restore(mutation: Mutated, snapshot: SnapshotId, body: Empty = None) -> Response:
    """Put the VM back to what it was; one that runs is stopped for it and started again."""
    return await _changed(mutation, Kind.RESTORE, snapshot)


@router.delete(
    "/{snapshotId}",
    response_model=models.VmSnapshotResultAnswer,
    responses=CHANGED,
    summary="删除快照",
)
async def delete(mutation: Mutated, snapshot: SnapshotId, body: Empty = None) -> Response:
    """Delete a snapshot, with what was said of it."""
    return await _changed(mutation, Kind.DELETE_SNAPSHOT, snapshot)


def _encoded(
    described: DescribedSnapshot, found: ResolvedInstance, gateway: Dependencies
) -> msgspec.Raw:
    name = f"{found.known.instance.name}/{described.snapshot.name}"
    text = gateway.boundary.render(
        EntrySubject("snapshot", found.known.host, name),
        lambda: msgspec.json.encode(snapshot_view(described)),
        lambda: msgspec.json.encode(bare_snapshot(described)),
    )
    return msgspec.Raw(text)


async def _changed(mutation: VmMutation, kind: Kind, snapshot: str) -> Response:
    arguments = Arguments(snapshot=snapshot)
    return await mutation.execute(kind, lambda _: arguments)
