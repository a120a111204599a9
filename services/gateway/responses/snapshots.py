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
    expires_at: Annotated[
        str | None,
        described(
            "在 LXD 中设置的到期时间，届时由 LXD 删除",
            "The expiry that was set in LXD, which deletes it then",
        ),
    ]
    policy: Annotated[
        str | None,
        described("创建它的快照策略；不是由策略创建时为 null", "The policy that took it, or null"),
    ]
    protected: Annotated[
        bool, described("任何策略都不会删除它", "No policy deletes it, whatever it keeps")
    ]
    tags: Annotated[
        list[str], described("供 `keepTags` 使用的标签", "Tags, for `keepTags` of policies")
    ]
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
            policy=None,
            protected=False,
            tags=["release"],
        )
        return [VmSnapshots([snapshot])]


class VmSnapshotMarks(Struct, frozen=True, kw_only=True):
    """The marks of a snapshot, as they are from now on.

    快照现在的标记。
    """

    id: str
    snapshot: str
    protected: bool
    tags: list[str]

    @classmethod
    def examples(cls) -> list[VmSnapshotMarks]:
        """Return examples for OpenAPI."""
        return [
            VmSnapshotMarks(
                id="vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                snapshot="backup-2024-01-01",
                protected=True,
                tags=["release"],
            )
        ]


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
        policy=snapshot.policy or None,
        protected=snapshot.protected,
        tags=list(snapshot.tags),
    )


def bare_snapshot(described: DescribedSnapshot) -> VmSnapshot:
    """Return a snapshot that cannot be rendered."""
    named = Snapshot(
        name=clip(described.snapshot.name), created_at="", stateful=described.snapshot.stateful
    )
    return replace(vm_snapshot(DescribedSnapshot(named, "")), error=NOT_RENDERABLE)
