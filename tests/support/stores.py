"""The gateway's stores in memory; `tests/gateway/integration` holds them to the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.gateway.fleet.host_state import StoredHost
from services.gateway.operations.merge import merge_report
from services.gateway.operations.store import IdempotencyKey, Lease, OperationFilter, StoredRequest
from services.gateway.vms.snapshots import SnapshotNote, deletes_instance, deletes_snapshot, note_of
from shared.contracts.errors import DatabaseUnavailable, IdempotencyKeyReused, InstanceExists
from shared.contracts.operations import Kind, Operation, State


class MemoryHostStore:
    """A host store; `away` makes it fail."""

    def __init__(self) -> None:
        self.hosts: dict[str, StoredHost] = {}
        self.away = False

    async def load(self) -> Sequence[StoredHost]:
        self._demand()
        return list(self.hosts.values())

    async def save(self, known: Sequence[StoredHost]) -> None:
        self._demand()
        self.hosts.update({host.host: host for host in known})

    async def drop(self, host: str) -> None:
        self._demand()
        self.hosts.pop(host, None)

    def _demand(self) -> None:
        if self.away:
            raise DatabaseUnavailable


class MemorySnapshotNotes:
    """Notes on snapshots, by the instance's host and uuid; `away` makes it fail."""

    def __init__(self) -> None:
        self.notes: dict[tuple[str, str], dict[str, SnapshotNote]] = {}
        self.away = False

    async def of(self, host: str, uuid: str) -> Mapping[str, SnapshotNote]:
        if self.away:
            raise DatabaseUnavailable
        return self.notes.get((host, uuid), {})

    def take(self, operation: Operation) -> None:
        """Note what an operation that has just ended says of snapshots."""
        place, snapshot = (operation.host, operation.uuid), operation.arguments.snapshot
        notes = {} if deletes_instance(operation) else dict(self.notes.get(place, {}))
        note = note_of(operation)
        if note or deletes_snapshot(operation):
            notes.pop(snapshot, None)
        if note and note.description:
            notes[snapshot] = note
        self.notes[place] = notes


class MemoryOperationStore:
    """An operation store; `away` makes it fail, `shared` makes it one of several gateways."""

    def __init__(self, *, shared: bool = False) -> None:
        self.notes = MemorySnapshotNotes()
        self.operations: dict[str, Operation] = {}
        self.requests: dict[str, StoredRequest] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}
        self.sequences: dict[str, int] = {}
        self.away = False
        self._shared = shared

    async def insert(self, operation: Operation, request: StoredRequest) -> Operation:
        if request.key and (earlier := await self.find(request.key)):
            return earlier
        self._demand()
        if request.new_name and self._is_held(request.new_name, operation.project):
            raise InstanceExists(request.new_name)
        if key := request.key:
            self.keys[key.principal, key.key] = (key.fingerprint, operation.operation_id)
        self.operations[operation.operation_id] = operation
        self.requests[operation.operation_id] = request
        return operation

    async def find(self, key: IdempotencyKey) -> Operation | None:
        self._demand()
        fingerprint, operation_id = self.keys.get((key.principal, key.key), ("", ""))
        if not operation_id:
            return None
        if fingerprint != key.fingerprint:
            raise IdempotencyKeyReused(key.key)
        return self.operations[operation_id]

    async def merge(self, reported: Sequence[Operation]) -> None:
        self._demand()
        for operation in reported:
            known = self.operations.get(operation.operation_id)
            true_now = merge_report(known, operation) if known else operation
            self.operations[operation.operation_id] = true_now
            if true_now is not known:
                self.notes.take(true_now)

    async def merge_page(self, host: str, reported: Sequence[Operation], sequence: int) -> None:
        await self.merge(reported)
        self.sequences[host] = sequence

    async def last_sequence(self, host: str) -> int:
        self._demand()
        return self.sequences.get(host, 0)

    async def reject(self, operation: Operation, *, free_key: bool) -> None:
        await self.merge([operation])
        if free_key and self.operations[operation.operation_id].state is State.REJECTED:
            self.keys = {
                key: value for key, value in self.keys.items() if value[1] != operation.operation_id
            }

    async def move(self, operation: Operation, from_host: str, lease: Lease) -> bool:
        self._demand()
        known = self.operations[operation.operation_id]
        if (known.host, known.state) != (from_host, State.SUBMITTING):
            return False
        self.operations[operation.operation_id] = operation
        request = self.requests[operation.operation_id]
        self.requests[operation.operation_id] = replace(request, lease=lease)
        return True

    async def get(self, operation_id: str) -> Operation | None:
        self._demand()
        return self.operations.get(operation_id)

    def may_hold_creation(self, operation_id: str) -> bool:
        known = self.operations.get(operation_id)
        created = known is not None and known.kind is Kind.CREATE and known.state is not State.DONE
        return created or self._shared

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        self._demand()
        matching = [each for each in self.operations.values() if wanted.matches(each)]
        return sorted(matching, key=lambda o: o.created_at, reverse=True)[: wanted.limit]

    async def unresolved(self, owner: str, now: float) -> Sequence[Operation]:
        self._demand()
        return [
            operation
            for operation in self.operations.values()
            if operation.state is State.SUBMITTING
            and _is_free(self.requests[operation.operation_id].lease, owner, now)
        ]

    async def creations(self, since: float) -> Sequence[Operation]:
        self._demand()
        submitted = [(self.operations[each], request) for each, request in self.requests.items()]
        return [
            operation
            for operation, request in submitted
            if operation.kind is Kind.CREATE
            and (not operation.final or (_is_made(operation) and request.created >= since))
        ]

    async def end_leases(self) -> None:
        self._demand()
        if not self._shared:
            self.requests = {
                operation_id: replace(request, lease=Lease("", 0))
                for operation_id, request in self.requests.items()
            }

    async def purge(self, *, keys_before: float, operations_before: float) -> None:
        self._demand()
        requests = self.requests
        self.keys = {
            key: value
            for key, value in self.keys.items()
            if requests[value[1]].created >= keys_before
        }
        for operation_id in [i for i, r in requests.items() if r.created < operations_before]:
            del self.operations[operation_id], self.requests[operation_id]

    def _is_held(self, new_name: str, project: str) -> bool:
        holders = [i for i, request in self.requests.items() if request.new_name == new_name]
        held = [self.operations[operation_id] for operation_id in holders]
        return any(each.project == project and not each.final for each in held)

    def _demand(self) -> None:
        if self.away:
            raise DatabaseUnavailable


def _is_free(lease: Lease, owner: str, now: float) -> bool:
    return lease.owner == owner or lease.until < now


def _is_made(operation: Operation) -> bool:
    return operation.state in {State.DONE, State.UNKNOWN}
