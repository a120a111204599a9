"""The snapshots of an instance as a policy judges them: those of LXD, with what is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from services.lxd_worker.policies.records import SnapshotRecord
from shared.contracts.errors import InvalidInput
from shared.contracts.worker_api import Snapshot
from shared.policies import reasons
from shared.policies.moments import parse_moment
from shared.policies.retention import Held

# Of a snapshot whose time LXD does not tell.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


def held(
    listed: Iterable[Snapshot],
    records: Iterable[SnapshotRecord],
    policy_id: str,
    instance_created_at: str,
) -> list[Held]:
    """Return LXD's snapshots of an instance with what guards each of them from a policy.

    The policy owns those that are recorded as its own, by name, their time of creation and the
    instance's.
    """
    known = _by_name(records, instance_created_at)
    return [_held(one, known.get((one.name, one.created_at)), policy_id) for one in listed]


def record_of(
    snapshot: Snapshot, records: Iterable[SnapshotRecord], instance_created_at: str
) -> SnapshotRecord | None:
    """Return the record of a snapshot, and not of a namesake."""
    return _by_name(records, instance_created_at).get((snapshot.name, snapshot.created_at))


def with_records(
    listed: Sequence[Snapshot], records: Iterable[SnapshotRecord], instance_created_at: str
) -> list[Snapshot]:
    """Return snapshots with the policies that took them, and the marks that people have set."""
    known = _by_name(records, instance_created_at)
    return [_marked(one, known.get((one.name, one.created_at))) for one in listed]


def _by_name(
    records: Iterable[SnapshotRecord], instance_created_at: str
) -> dict[tuple[str, str], SnapshotRecord]:
    return {
        (record.snapshot, record.created_at): record
        for record in records
        if record.instance_created_at == instance_created_at
    }


def _held(snapshot: Snapshot, record: SnapshotRecord | None, policy_id: str) -> Held:
    guards = []
    is_own = record is not None and record.policy_id == policy_id
    created_at = _moment(snapshot.created_at)
    if not is_own or created_at is None:
        guards.append(reasons.FOREIGN)
    if record and record.misdated:
        guards.append(reasons.MISDATED)
    if record and record.protected:
        guards.append(reasons.PROTECTED)
    if snapshot.expires_at:
        guards.append(reasons.EXPIRES)
    tags = record.tags if record else ()
    return Held(snapshot.name, created_at or _UNKNOWN, tags, tuple(guards))


def _marked(snapshot: Snapshot, record: SnapshotRecord | None) -> Snapshot:
    if record is None:
        return snapshot
    return replace(snapshot, policy=record.policy, protected=record.protected, tags=record.tags)


def _moment(text: str) -> datetime | None:
    try:
        return parse_moment(text)
    except InvalidInput:
        return None
