"""Snapshots as the VM API v1 shows them."""

from __future__ import annotations

from msgspec import Struct

from services.gateway.domain import units
from services.gateway.domain.error_boundary import NOT_RENDERABLE
from services.gateway.domain.naming import encodable
from services.gateway.domain.snapshots import DescribedSnapshot


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
    name = encodable(described.snapshot.name)
    return SnapshotView(
        id=name,
        name=name,
        description="",
        created_at=units.utc_text(units.EPOCH),
        size=None,
        stateful=described.snapshot.stateful,
        expires_at=None,
        error=NOT_RENDERABLE,
    )
