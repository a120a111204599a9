"""The interface of the store of operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.contracts.operations import Operation


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's Idempotency-Key; `fingerprint` is the digest of its request."""

    principal: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The gateway that is submitting an operation; until then no other may resolve it."""

    owner: str
    until: float


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """What is stored with an operation: the caller's address, the time, the lease, the key.

    No other operation of the project may have the same `new_name` until this one has ended.
    """

    address: str
    created: float
    lease: Lease
    key: IdempotencyKey | None = None
    new_name: str = ""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations to list, newest first; None: any."""

    host: str | None = None
    instance: str | None = None
    state: str | None = None
    kind: str | None = None
    limit: int = 100
    project: str | None = None

    def matches(self, operation: Operation) -> bool:
        """Whether an operation matches, the limit aside."""
        pairs = (
            (self.host, operation.host),
            (self.project, operation.project),
            (self.instance, operation.instance),
            (self.state, operation.state),
            (self.kind, operation.kind),
        )
        return all(value is None or value == actual for value, actual in pairs)


class OperationStore(Protocol):
    """Operations and idempotency keys in a database. Every method may raise DatabaseUnavailable."""

    async def insert(self, operation: Operation, request: StoredRequest) -> Operation:
        """Store a new operation and its key together, or return the operation of the key.

        Raises IdempotencyKeyReused if the key was used with another request, and InstanceExists if
        an unfinished operation of the project has the same new name.
        """

    async def find(self, key: IdempotencyKey) -> Operation | None:
        """Return the operation of a key; raise IdempotencyKeyReused."""

    async def merge(self, reported: Sequence[Operation]) -> None:
        """Merge each report into its stored operation; add unknown ones."""

    async def merge_page(self, host: str, reported: Sequence[Operation], sequence: int) -> None:
        """Merge a page of the host's journal that ends at `sequence`."""

    async def last_sequence(self, host: str) -> int:
        """Return the sequence up to which the host's journal was merged."""

    async def reject(self, operation: Operation, *, free_key: bool) -> None:
        """Store a rejected operation; `free_key`: its key may be used again.

        Nothing happens if it has moved to another host.
        """

    async def move(self, operation: Operation, from_host: str, lease: Lease) -> bool:
        """Store that a submission has moved from a host to its present one.

        Returns False, without a change, if it is no longer a submission to `from_host`.
        """

    async def get(self, operation_id: str) -> Operation | None:
        """Return one operation."""

    def may_hold_creation(self, operation_id: str) -> bool:
        """Whether a creation that is not done may be stored; False only if none is."""

    async def list(self, filters: OperationFilter) -> Sequence[Operation]:
        """Return the newest matching operations, newest first."""

    async def unresolved(self, owner: str, now: float) -> Sequence[Operation]:
        """Return the `submitting` operations that no other gateway has a lease on, oldest first."""

    async def creations(self, since: float) -> Sequence[Operation]:
        """Return the creations submitted by gateways that have not failed.

        Completed ones only if they were requested since this Unix time.
        """

    async def end_leases(self) -> None:
        """End the leases that no running gateway can hold."""

    async def purge(self, *, keys_before: float, operations_before: float) -> None:
        """Delete keys and operations that were requested before these Unix times."""
