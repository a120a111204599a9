"""Snapshots as the VM API v1 shows them."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from services.gateway import units
from services.gateway.error_boundary import NOT_RENDERABLE
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.bounds import clip
from shared.contracts.worker_api import Snapshot


class SnapshotView(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A snapshot, `id` being its LXD name; `size` in bytes, None where the storage tells none.

    `error` is there only where the rest could not be rendered.
    """

    id: str
    name: str
    description: str
    created_at: str
    size: int | None
    stateful: bool
    expires_at: str | None
    error: str | None = None


def snapshot_view(described: DescribedSnapshot) -> SnapshotView:
    """Return one snapshot."""
    snapshot, description = described
    expires_at = units.known_instant(snapshot.expires_at)
    return SnapshotView(
        id=snapshot.name,
        name=snapshot.name,
        description=description,
        created_at=units.utc_text(units.instant(snapshot.created_at)),
        size=snapshot.size,
        stateful=snapshot.stateful,
        # One that expires in no year that we can show does not expire.
        expires_at=units.utc_text(expires_at) if expires_at else None,
    )


def bare_snapshot(described: DescribedSnapshot) -> SnapshotView:
    """Return a snapshot that cannot be rendered."""
    named = Snapshot(
        name=clip(described.snapshot.name), created_at="", stateful=described.snapshot.stateful
    )
    return replace(snapshot_view(DescribedSnapshot(named, "")), error=NOT_RENDERABLE)
