"""Snapshots as the VM API v1 shows them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from services.gateway.domain import units
from services.gateway.domain.snapshots import DescribedSnapshot


class SnapshotView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot, `id` being its LXD name; `size` in bytes, None where the storage tells none."""

    id: str
    name: str
    description: str
    created_at: str
    size: int | None
    stateful: bool
    expires_at: str | None


def snapshots(listed: Iterable[DescribedSnapshot]) -> list[SnapshotView]:
    """Return snapshots in the order in which they came."""
    return [
        SnapshotView(
            id=snapshot.name,
            name=snapshot.name,
            description=description,
            created_at=units.utc_text(units.instant(snapshot.created_at)),
            size=snapshot.size,
            stateful=snapshot.stateful,
            expires_at=_time(snapshot.expires_at),
        )
        for snapshot, description in listed
    ]


def _time(text: str) -> str | None:
    return units.utc_text(units.instant(text)) if text else None
