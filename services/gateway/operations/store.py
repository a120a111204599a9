"""What is kept of operations in the database, and what the gateway asks of whoever keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.contracts.operations import Operation


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's Idempotency-Key; `fingerprint` is the digest of the request it came with."""

    principal: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Lease:
    """Which gateway is submitting an operation, and until when nobody else may resolve it."""

    owner: str
    until: float


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """What is kept of a request beside its operation: the caller's address, its key, the lease.

    `new_name` is held in the operation's project until that ends: no other may be given it then.
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
        """Whether an operation is among them, the limit aside."""
        wanted = (
            (self.host, operation.host),
            (self.project, operation.project),
            (self.instance, operation.instance),
            (self.state, operation.state),
            (self.kind, operation.kind),
        )
        return all(value is None or value == actual for value, actual in wanted)


class OperationStore(Protocol):
    """Operations and idempotency keys in a database. Every method may raise DatabaseUnavailable."""

    async def insert(self, operation: Operation, request: StoredRequest) -> Operation:
        """Keep a new operation and its key together, or return the one the key stands for.

        Raises IdempotencyKeyReused when the key came with another request, and InstanceExists when
        an operation of the project that has not ended holds the request's new name.
        """

    async def find(self, key: IdempotencyKey) -> Operation | None:
        """Return the operation a key stands for; raise IdempotencyKeyReused."""

    async def merge(self, reported: Sequence[Operation]) -> None:
        """Keep each operation as it now is true; unknown ones are added."""

    async def merge_page(self, host: str, reported: Sequence[Operation], sequence: int) -> None:
        """Merge, and remember that the host's operations are known up to `sequence`."""

    async def known_up_to(self, host: str) -> int:
        """Return the sequence up to which the host's operations are known."""

    async def reject(self, operation: Operation, *, free_key: bool) -> None:
        """Keep a rejected operation; its key may be used again if `free_key`.

        Neither happens when it is another host's by now.
        """

    async def move(self, operation: Operation, left: str, lease: Lease) -> bool:
        """Keep a submission as one to its present host instead of to the host `left`.

        Returns False, and changes nothing, when it is no submission to that one any more.
        """

    async def get(self, operation_id: str) -> Operation | None:
        """Return one operation."""

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        """Return the newest operations that match, newest first."""

    async def unresolved(self, owner: str, now: float) -> Sequence[Operation]:
        """Return what is `submitting` and no other gateway's present business, oldest first."""

    async def creations(self, since: float) -> Sequence[Operation]:
        """Return the creations that gateways have submitted and that have not failed.

        Those that were completed only if their request is of a Unix time since then.
        """

    async def end_leases(self) -> None:
        """End the leases that no living gateway can hold."""

    async def purge(self, *, keys_before: float, operations_before: float) -> None:
        """Drop keys and operations whose request is older than the Unix times."""
