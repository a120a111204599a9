"""Snapshots as the VM API v1 shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from services.gateway import units
from services.gateway.error_boundary import NOT_RENDERABLE
from services.gateway.responses.fields import NotRenderable, described
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.bounds import clip
from shared.contracts.worker_api import Snapshot


class VmSnapshot(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A snapshot.

    一个快照。
    """

    id: Annotated[str, described("LXD 中的快照名称", "Name of the snapshot in LXD")]
    name: str
    description: str
    created_at: str
    size: Annotated[
        int | None,
        described(
            "字节数；存储池不提供时为 null", "In bytes; null where the storage pool does not tell"
        ),
    ]
    stateful: Annotated[bool, described("包含内存状态", "It includes the state of the memory")]
    expires_at: str | None
    error: NotRenderable = None


class VmSnapshots(Struct, frozen=True):
    """All snapshots of one VM, oldest first.

    一台虚拟机的全部快照，最早的在前。
    """

    snapshots: list[VmSnapshot]

    @classmethod
    def examples(cls) -> list[VmSnapshots]:
        """Return examples for OpenAPI."""
        snapshot = VmSnapshot(
            id="backup-2024-01-01",
            name="backup-2024-01-01",
            description="系统更新前的备份",
            created_at="2024-01-01T12:00:00Z",
            size=1048576,
            stateful=False,
            expires_at=None,
        )
        return [VmSnapshots([snapshot])]


def vm_snapshot(described: DescribedSnapshot) -> VmSnapshot:
    """Return one snapshot."""
    snapshot, description = described
    expires_at = units.parse_time(snapshot.expires_at)
    return VmSnapshot(
        id=snapshot.name,
        name=snapshot.name,
        description=description,
        created_at=units.utc_text(units.parse_time_or_epoch(snapshot.created_at)),
        size=snapshot.size,
        stateful=snapshot.stateful,
        # One that expires in no year that we can show does not expire.
        expires_at=units.utc_text(expires_at) if expires_at else None,
    )


def bare_snapshot(described: DescribedSnapshot) -> VmSnapshot:
    """Return a snapshot that cannot be rendered."""
    named = Snapshot(
        name=clip(described.snapshot.name), created_at="", stateful=described.snapshot.stateful
    )
    return replace(vm_snapshot(DescribedSnapshot(named, "")), error=NOT_RENDERABLE)
