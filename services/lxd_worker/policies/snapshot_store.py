"""The table of what is known of snapshots beyond LXD; a part of `PolicyStore`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from services.lxd_worker.journal.database import JournalDatabase
from services.lxd_worker.journal.tables import snapshot_records
from services.lxd_worker.policies.records import SnapshotRecord, Stock
from shared.contracts.instances import Instance
from shared.contracts.worker_api import Snapshot

T = TypeVar("T")

_table = snapshot_records.c


class SnapshotTable:
    """Records of snapshots, by the instance's project and uuid and the snapshot's name."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def snapshots_of(self, project: str, uuid: str) -> list[SnapshotRecord]:
        """See `PolicyStore.snapshots_of`."""
        query = select(snapshot_records).where(_of(project, uuid))
        rows = self._do(lambda connection: connection.execute(query).all())
        return [_record(row) for row in rows]

    def keep_snapshot(self, record: SnapshotRecord, most: int) -> bool:
        """See `PolicyStore.keep_snapshot`."""

        def work(connection: Connection) -> bool:
            known = connection.execute(select(_table.snapshot).where(_is(record))).first()
            counting = select(func.count()).select_from(snapshot_records)
            if known is None and (connection.scalar(counting) or 0) >= most:
                return False
            self.put(connection, record)
            return True

        return self._do(work)

    def forget_snapshot(self, project: str, uuid: str, snapshot: str) -> None:
        """See `PolicyStore.forget_snapshot`."""
        mine = _of(project, uuid) & (_table.snapshot == snapshot)
        self._do(lambda connection: connection.execute(delete(snapshot_records).where(mine)))

    def reconcile(
        self,
        instance: Instance,
        known: Collection[SnapshotRecord],
        listed: Sequence[Snapshot],
        at: float,
    ) -> None:
        """See `PolicyStore.reconcile`."""
        by_name = {snapshot.name: snapshot for snapshot in listed}
        before = {(record.snapshot, record.created_at) for record in known}
        of_instance = _of(instance.project, instance.uuid)

        def work(connection: Connection) -> None:
            query = select(snapshot_records).where(of_instance)
            for row in connection.execute(query).all():
                found = by_name.get(row.snapshot)
                is_of_it = instance.created_at == row.instance_created_at
                is_same = is_of_it and found is not None and found.created_at == row.created_at
                expires_at = found.expires_at if found and is_same else row.expires_at
                was_known = row.missing_since or (row.snapshot, row.created_at) in before
                is_missing = was_known and not is_same
                missing_since = (row.missing_since or at) if is_missing else None
                if (missing_since, expires_at) != (row.missing_since, row.expires_at):
                    changed = {"missing_since": missing_since, "expires_at": expires_at}
                    mine = of_instance & (_table.snapshot == row.snapshot)
                    connection.execute(update(snapshot_records).where(mine).values(changed))

        self._do(work)

    def stock(self, now: str) -> dict[tuple[str, str], Stock]:
        """See `PolicyStore.stock`."""
        rows = self._do(
            lambda connection: connection.execute(
                select(_table.project, _table.uuid, func.count(), func.max(_table.created_at))
                .where(_counts(now))
                .group_by(_table.project, _table.uuid)
            ).all()
        )
        return {
            (project, uuid): Stock(snapshots=count, newest=newest)
            for project, uuid, count, newest in rows
        }

    def stock_of(self, project: str, uuid: str, now: str) -> Stock:
        """See `PolicyStore.stock_of`."""
        query = select(func.count(), func.max(_table.created_at))
        mine = query.where(_of(project, uuid), _counts(now))
        count, newest = self._do(lambda connection: connection.execute(mine).one())
        return Stock(snapshots=count, newest=newest or "")

    def put(self, connection: Connection, record: SnapshotRecord) -> None:
        """Replace what is known of a snapshot's name."""
        row = msgspec.structs.asdict(record) | {"tags": " ".join(record.tags)}
        connection.execute(delete(snapshot_records).where(_is(record)))
        connection.execute(insert(snapshot_records), row)

    def tidy_snapshots(
        self,
        connection: Connection,
        present: Sequence[tuple[str, str]] | None,
        now: float,
        before: float,
    ) -> None:
        """See `PolicyStore.tidy`."""
        if present is not None:
            known = connection.execute(select(_table.project, _table.uuid).distinct()).all()
            for project, uuid in {(row.project, row.uuid) for row in known} - set(present):
                gone = _of(project, uuid) & _table.missing_since.is_(None)
                connection.execute(update(snapshot_records).where(gone).values(missing_since=now))
        old = _table.missing_since.is_not(None) & (_table.missing_since < before)
        connection.execute(delete(snapshot_records).where(old))

    def _do(self, work: Callable[[Connection], T]) -> T:
        return self._database.transaction(work)


def _of(project: str, uuid: str) -> ColumnElement[bool]:
    return (_table.project == project) & (_table.uuid == uuid)


def _is(record: SnapshotRecord) -> ColumnElement[bool]:
    return _of(record.project, record.uuid) & (_table.snapshot == record.snapshot)


def _counts(now: str) -> ColumnElement[bool]:
    """Whether a policy's snapshot is there to stay, as far as anybody knows."""
    return (
        (_table.policy_id != "")
        & _table.missing_since.is_(None)
        & (_table.expires_at == "")
        & (_table.created_at <= now)
    )


def _record(row: Row[Any]) -> SnapshotRecord:
    return SnapshotRecord(
        project=row.project,
        uuid=row.uuid,
        snapshot=row.snapshot,
        created_at=row.created_at,
        instance_created_at=row.instance_created_at,
        policy_id=row.policy_id,
        policy=row.policy,
        slot=row.slot,
        misdated=row.misdated,
        protected=row.protected,
        tags=tuple(row.tags.split()),
        expires_at=row.expires_at,
    )
