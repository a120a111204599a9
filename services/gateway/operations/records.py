"""What outlives the gateway's process: hosts, and the requests behind operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.contracts.instances import Instance


@dataclass(frozen=True, slots=True)
class StoredHost:
    """A host as the database keeps it. Times are Unix seconds; `epoch` is its worker's.

    `instances` is the last inventory with the changes since, `inventory_at` its time (None: never).
    `changes` says when an instance was last seen to change, by uuid; `copies` are the uuids that
    another host's instance held first. `exchange` is the name of that to which the host publishes;
    empty: an earlier release did not keep it.
    """

    host: str
    fingerprint: str
    epoch: int
    first_seen: float
    last_seen: float
    instances: tuple[Instance, ...] = ()
    inventory_at: float | None = None
    changes: Mapping[str, float] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    exchange: str = ""


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
