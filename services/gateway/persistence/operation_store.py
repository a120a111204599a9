"""Stores operations and idempotency keys."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from services.gateway.operations.merge import merge_report, shrink_to
from services.gateway.operations.store import IdempotencyKey, Lease, OperationFilter, StoredRequest
from services.gateway.persistence import snapshot_notes
from services.gateway.persistence.creation_index import CreationIndex
from services.gateway.persistence.database import Database
from services.gateway.persistence.retention import (
    DEFAULT,
    OperationRetention,
    WriteCounts,
    prune,
    purge,
)
from services.gateway.persistence.tables import hosts, idempotency_keys, operations
from shared.contracts.codec import decode, encode
from shared.contracts.errors import IdempotencyKeyReused, InstanceExists, UnreadableMessage
from shared.contracts.operations import FINAL, Kind, Operation, State

log = logging.getLogger(__name__)

NO_LEASE = Lease("", 0.0)
MOST_LOGGED = 1000
MOST_CREATIONS = 10_000
CREATED = (State.DONE, State.UNKNOWN)
UNFINISHED = tuple(set(State) - FINAL)

# Every operation needs these several times, and making a statement takes longer than SQLite does.
_OF_ID = operations.c.id == sa.bindparam("of")
_RECORD_TO_MERGE = sa.select(operations.c.record).where(_OF_ID).with_for_update()
_MERGE = sa.update(operations).where(_OF_ID)


class SqlOperationStore:
    """Implements `OperationStore`."""

    def __init__(self, database: Database, retention: OperationRetention = DEFAULT) -> None:
        self._database = database
        self._additions = {
            table: database.insert(table).on_conflict_do_nothing().returning(*table.primary_key)
            for table in (operations, idempotency_keys)
        }
        self._retention = retention
        self._write_counts = WriteCounts(retention)
        self._creations = CreationIndex()
        # Hashes of unreadable records that were logged.
        self._logged_records: set[int] = set()

    async def insert(self, operation: Operation, request: StoredRequest) -> Operation:
        """Store a new operation and its key together, or return the operation of the key."""
        return await self._database.run(lambda c: self._insert(c, operation, request))

    async def find(self, key: IdempotencyKey) -> Operation | None:
        """Return the operation of a key; raise IdempotencyKeyReused."""
        return await self._database.run(lambda c: _find(c, key))

    async def merge(self, reported: Sequence[Operation]) -> None:
        """Merge each report into its stored operation; add unknown ones."""
        shrunk = self._shrink(reported)
        await self._database.run(lambda c: self._merge(c, shrunk))
        await self._prune(shrunk)

    async def merge_page(self, host: str, reported: Sequence[Operation], sequence: int) -> None:
        """Merge a page of the host's journal that ends at `sequence`."""
        update = sa.update(hosts).where(hosts.c.host == host)
        shrunk = self._shrink(reported)

        def work(connection: sa.Connection) -> None:
            self._merge(connection, shrunk)
            connection.execute(update.values(operation_sequence=sequence))

        await self._database.run(work)
        await self._prune(shrunk)

    async def last_sequence(self, host: str) -> int:
        """Return the sequence up to which the host's journal was merged."""
        query = sa.select(hosts.c.operation_sequence).where(hosts.c.host == host)
        return await self._database.run(lambda c: c.execute(query).scalar()) or 0

    async def reject(self, operation: Operation, *, free_key: bool) -> None:
        """Store a rejected operation; `free_key`: its key may be used again."""
        same = operations.c.id == operation.operation_id
        was = sa.exists().where(same, operations.c.state == State.REJECTED)
        freed = sa.delete(idempotency_keys).where(
            idempotency_keys.c.operation_id == operation.operation_id, was
        )

        def work(connection: sa.Connection) -> None:
            self._merge(connection, [operation])
            if free_key:
                connection.execute(freed)

        await self._database.run(work)

    async def move(self, operation: Operation, from_host: str, lease: Lease) -> bool:
        """Store the new host of a submission; return False if it is none to `from_host`."""
        there = sa.and_(
            operations.c.id == operation.operation_id,
            operations.c.host == from_host,
            operations.c.state == State.SUBMITTING,
        )
        moved = sa.update(operations).where(there).returning(operations.c.id)
        here = moved.values(
            **_host_columns(operation), **_lease_columns(lease), **_state_columns(operation)
        )
        return await self._database.run(lambda c: c.execute(here).first()) is not None

    async def get(self, operation_id: str) -> Operation | None:
        """Return one operation."""
        return await self._database.run(lambda c: _get(c, operation_id))

    async def list(self, filters: OperationFilter) -> Sequence[Operation]:
        """Return the newest matching operations, newest first."""
        return await self._read(_list_query(filters))

    async def unresolved(self, owner: str, now: float) -> Sequence[Operation]:
        """Return the `submitting` operations that no other gateway has a lease on, oldest first."""
        free = sa.or_(operations.c.lease_owner == owner, operations.c.lease_until < now)
        query = (
            sa.select(operations.c.record)
            .where(operations.c.state == State.SUBMITTING, free)
            .order_by(operations.c.created)
        )
        return await self._read(query)

    async def creations(self, since: float) -> Sequence[Operation]:
        """Return the creations submitted by gateways that have not failed."""
        # A row that comes from a host's report has no owner.
        submitted = sa.and_(operations.c.kind == Kind.CREATE, operations.c.lease_owner != "")
        made = sa.and_(operations.c.state.in_(CREATED), operations.c.created >= since)
        goes_on = operations.c.state.in_(UNFINISHED)
        query = (
            sa.select(operations.c.record)
            .where(submitted, sa.or_(goes_on, made))
            .order_by(operations.c.created.desc())
            .limit(MOST_CREATIONS)
        )
        return await self._read(query)

    async def load_creations(self) -> None:
        """Read which creations are not done, unless other gateways may store some at any time."""
        if not self._database.shared:
            await self._database.run(self._creations.load)

    def may_hold_creation(self, operation_id: str) -> bool:
        """Whether a creation that is not done may be stored; False only if none is."""
        return self._creations.may_hold(operation_id)

    async def end_leases(self) -> None:
        """End the leases that no running gateway can hold: all, if the database is not shared."""
        if self._database.shared:
            return
        ended = sa.update(operations).where(operations.c.state == State.SUBMITTING)
        await self._database.run(lambda c: c.execute(ended.values(lease_until=0.0)))

    async def purge(self, *, keys_before: float, operations_before: float) -> None:
        """Delete keys and operations that were requested before these Unix times."""

        def work(connection: sa.Connection) -> None:
            purge(
                connection,
                self._retention,
                keys_before=keys_before,
                operations_before=operations_before,
            )

        await self._database.run(work)
        await self.load_creations()

    async def _read(self, query: sa.Select[Any]) -> Sequence[Operation]:
        """Return the operations of a query, skipping unreadable ones of another release."""

        def work(connection: sa.Connection) -> Sequence[Operation]:
            found = map(self._decode_or_none, connection.execute(query).scalars())
            return [operation for operation in found if operation is not None]

        # Decoded in the thread too: thousands of records would block the event loop.
        return await self._database.run(work)

    def _decode_or_none(self, record: str) -> Operation | None:
        try:
            return _operation(record)
        except UnreadableMessage as exc:
            self._log_unreadable(record, exc.reason)
            return None

    def _log_unreadable(self, record: str, reason: str) -> None:
        if len(self._logged_records) >= MOST_LOGGED:
            self._logged_records.clear()
        if hash(record) not in self._logged_records:
            self._logged_records.add(hash(record))
            log.warning("stored operation unreadable", extra={"reason": reason})

    def _shrink(self, reported: Sequence[Operation]) -> Sequence[Operation]:
        return [shrink_to(operation, self._retention.record_size) for operation in reported]

    async def _prune(self, written: Sequence[Operation]) -> None:
        """Delete the excess of the hosts whose operations were written, if that is due."""
        for operation in written:
            self._write_counts.add(operation)
        for host in self._write_counts.take_due({operation.host for operation in written}):
            await self._database.run(partial(prune, host=host, retention=self._retention))

    def _insert(self, c: sa.Connection, operation: Operation, request: StoredRequest) -> Operation:
        self._creations.add(operation)
        key = request.key
        if key and not self._add(c, idempotency_keys, _key_row(key, operation, request)):
            # The key may have been freed since; then it can be claimed.
            return _find(c, key) or self._insert(c, operation, request)
        if not self._add(c, operations, _row(operation, request)):
            raise InstanceExists(request.new_name)
        return operation

    def _merge(self, connection: sa.Connection, reported: Sequence[Operation]) -> None:
        for operation in reported:
            self._merge_one(connection, operation)

    def _merge_one(self, connection: sa.Connection, operation: Operation) -> None:
        self._creations.add(operation)
        request = StoredRequest(address="", created=_created(operation), lease=NO_LEASE)
        if self._add(connection, operations, _row(operation, request)):
            snapshot_notes.apply_operation(connection, operation)
            return
        same = {"of": operation.operation_id}
        record = connection.execute(_RECORD_TO_MERGE, same).scalar_one()
        stored = self._decode_or_none(record)
        merged = merge_report(stored, operation) if stored else operation
        if merged is not stored:
            connection.execute(_MERGE, _state_columns(merged) | same)
            snapshot_notes.apply_operation(connection, merged)

    def _add(self, connection: sa.Connection, table: sa.Table, row: dict[str, object]) -> bool:
        """Insert a row unless it conflicts; return whether it was inserted."""
        return connection.execute(self._additions[table], row).first() is not None


def _find(connection: sa.Connection, key: IdempotencyKey) -> Operation | None:
    same = sa.and_(idempotency_keys.c.principal == key.principal, idempotency_keys.c.key == key.key)
    row = connection.execute(sa.select(idempotency_keys).where(same)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise IdempotencyKeyReused(key.key)
    return _operation(connection.execute(_record_of(row.operation_id)).scalar_one())


def _get(connection: sa.Connection, operation_id: str) -> Operation | None:
    record = connection.execute(_record_of(operation_id)).scalar_one_or_none()
    return None if record is None else _operation(record)


def _record_of(operation_id: str) -> sa.Select[Any]:
    return sa.select(operations.c.record).where(operations.c.id == operation_id)


def _list_query(filters: OperationFilter) -> sa.Select[Any]:
    conditions = {
        operations.c.host: filters.host,
        operations.c.project: filters.project,
        operations.c.instance: filters.instance,
        operations.c.state: filters.state,
        operations.c.kind: filters.kind,
    }
    query = sa.select(operations.c.record).order_by(
        operations.c.created.desc(), operations.c.sequence.desc()
    )
    for column, value in conditions.items():
        if value is not None:
            query = query.where(column == value)
    return query.limit(filters.limit)


def _row(operation: Operation, request: StoredRequest) -> dict[str, object]:
    return {
        "id": operation.operation_id,
        "project": operation.project,
        "new_name": request.new_name or None,
        "kind": operation.kind.value,
        "principal": operation.principal,
        "address": request.address,
        "created": request.created,
        "parent_id": operation.parent_id,
        **_host_columns(operation),
        **_lease_columns(request.lease),
        **_state_columns(operation),
    }


def _host_columns(operation: Operation) -> dict[str, object]:
    return {"host": operation.host, "instance": operation.instance}


def _lease_columns(lease: Lease) -> dict[str, object]:
    return {"lease_owner": lease.owner, "lease_until": lease.until}


def _state_columns(operation: Operation) -> dict[str, object]:
    return {
        "state": operation.state.value,
        "sequence": operation.sequence,
        "step": operation.step,
        "record": encode(operation).decode(),
    }


def _key_row(
    key: IdempotencyKey, operation: Operation, request: StoredRequest
) -> dict[str, object]:
    return {
        "principal": key.principal,
        "key": key.key,
        "fingerprint": key.fingerprint,
        "operation_id": operation.operation_id,
        "created": request.created,
    }


def _operation(record: str) -> Operation:
    return decode(Operation, record.encode())


def _created(operation: Operation) -> float:
    """Return the time of creation that a host reports, now if it is unreadable.

    Never later than now: it would stay the newest of all, and never expire.
    """
    now = time.time()
    try:
        created = datetime.fromisoformat(operation.created_at or operation.accepted_at)
        return min(created.timestamp(), now)
    except ValueError:
        return now
