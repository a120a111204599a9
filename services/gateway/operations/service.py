"""Changing things: from a request to an operation, and from its id to its outcome.

An operation is in the database before its worker hears of it. What the worker then says is either
its journal's entry, a refusal that proves that nothing was started, or nothing; in the last case
the operation stays `submitting` until `Resolver` knows. Only after such a refusal may it be handed
to another host, and it is in the database as that host's before that one hears of it.

What is secret goes in a second step to the host that has accepted the operation, and to no other:
none that refuses it has seen anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from msgspec.structs import replace

from services.gateway.clock import Clock, rfc3339
from services.gateway.fleet.view import FleetView
from services.gateway.operations.cache import OperationCache
from services.gateway.operations.listing import newest
from services.gateway.operations.merge import (
    frees_key,
    proves_not_started,
    rejected,
    submission,
)
from services.gateway.operations.records import IdempotencyKey, Lease, StoredRequest
from services.gateway.operations.secrets import SecretDelivery
from services.gateway.ports import (
    Caller,
    Change,
    Elsewhere,
    OperationFilter,
    OperationStore,
    nowhere_else,
)
from shared.contracts.errors import (
    DatabaseUnavailable,
    FleetError,
    OperationNotCancellable,
    OperationNotFound,
)
from shared.contracts.operations import Kind, Operation, Secrets, State, Submission
from shared.contracts.worker_api import LxdWorker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    """How this gateway submits: under which id, until when a worker may start, and how long no
    other gateway may interfere.
    """

    gateway: str
    start_by_s: float
    lease_s: float


class OperationService:
    """Implements `ports.Operations`."""

    def __init__(
        self,
        fleet: FleetView,
        ledger: OperationCache,
        store: OperationStore,
        worker: LxdWorker,
        clock: Clock,
        submitting: SubmitSettings,
        delivery: SecretDelivery,
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._store = store
        self._worker = worker
        self._clock = clock
        self._submitting = submitting
        self._delivery = delivery

    async def submit(self, change: Change, elsewhere: Elsewhere = nowhere_else) -> Operation:
        """Record the operation and hand it to the host's worker; see `ports.Operations`."""
        key = _key(change)
        if key and (earlier := await self._find(key)):
            return earlier
        change = self._reachable(change, elsewhere)
        now = self._clock.wall()
        operation = _begun(change, rfc3339(now))
        with self._ledger.in_flight(operation.operation_id):
            stored = await self._store.insert(operation, self._request(change, key, now))
            if stored.operation_id != operation.operation_id:
                return self._ledger.freshest(stored)
            return await self._hand_over(operation, change.secrets, elsewhere)

    async def recall(self, caller: Caller, key: str, fingerprint: str) -> Operation | None:
        """Return the operation that the caller's Idempotency-Key stands for; None: a new key."""
        return await self._find(IdempotencyKey(caller.principal, key, fingerprint))

    async def wait(self, operation_id: str, timeout_s: float) -> Operation:
        """Return the operation when it has ended, or as it stands after the time-out."""
        known = await self.get(operation_id)
        if known.final:
            return known
        return await self._ledger.wait(known, timeout_s)

    async def get(self, operation_id: str) -> Operation:
        """Return one operation; raise OperationNotFound."""
        stored = await self._store.get(operation_id)
        # Only now: more news may have come while the database was asked.
        known = self._ledger.freshest(stored) if stored else self._ledger.heard_of(operation_id)
        if known is None:
            raise OperationNotFound(operation_id)
        return known

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        """Return the newest operations that fit."""
        stored = await self._store.list(wanted)
        return newest(stored, self._ledger.all_recent(), wanted)

    async def cancel(self, operation_id: str) -> Operation:
        """Ask for it to be cancelled; raise OperationNotFound, OperationNotCancellable."""
        known = await self.get(operation_id)
        if known.final:
            raise OperationNotCancellable(operation_id)
        try:
            return await self._keep(await self._worker.cancel(known.host, operation_id))
        except OperationNotFound:
            # It exists, but has not reached its worker: there is nothing to be cancelled yet.
            raise OperationNotCancellable(operation_id) from None

    def watch(self, learnt: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `learnt` with every operation as soon as there are news; return what ends it."""
        return self._ledger.watch(learnt)

    async def _find(self, key: IdempotencyKey) -> Operation | None:
        stored = await self._store.find(key)
        return self._ledger.freshest(stored) if stored else None

    def _reachable(self, change: Change, elsewhere: Elsewhere) -> Change:
        """Return the change for a host that can be told; raise what `elsewhere` raises."""
        while refusal := self._fleet.refusal(change.target.host):
            change = elsewhere(refusal)
        return change

    async def _hand_over(
        self, operation: Operation, secrets: Secrets | None, elsewhere: Elsewhere
    ) -> Operation:
        """Hand it to one host after the other until one takes it, or may have taken it."""
        self._reserve(operation)
        self._ledger.learn(operation)
        while True:
            within_s = self._submitting.start_by_s
            start_by = self._clock.wall() + within_s
            if secrets:
                self._delivery.add(operation, secrets, start_by)
            order = submission(operation, start_by, within_s)
            try:
                accepted = await self._told(order, with_secrets=secrets is not None)
            except FleetError as error:
                if not proves_not_started(error):
                    log.warning("fate of a submission unknown", extra=_described(operation, error))
                    return operation
                self._delivery.drop(operation)
                operation = await self._moved(operation, error, elsewhere)
            else:
                kept = await self._keep(accepted)
                delivered = await self._delivery.deliver(kept)
                return kept if delivered.sequence == kept.sequence else await self._keep(delivered)

    async def _told(self, order: Submission, *, with_secrets: bool) -> Operation:
        return await (self._worker.prepare if with_secrets else self._worker.submit)(order)

    async def _moved(
        self, operation: Operation, refusal: FleetError, elsewhere: Elsewhere
    ) -> Operation:
        """Return the operation as another host's, kept as such; else reject it, and raise why."""
        try:
            change = self._reachable(elsewhere(refusal), elsewhere)
            moved = _at(change, operation)
            if not await self._store.move(moved, operation.host, self._lease(self._clock.wall())):
                raise refusal
        except FleetError as error:
            # Where other hosts were sought too, the answer is of a moment: no key stands for it.
            free_key = frees_key(refusal) or error is not refusal
            await self._reject(operation, refusal, free_key=free_key)
            raise
        self._reserve(moved)
        self._ledger.move(operation, moved)
        return moved

    def _reserve(self, operation: Operation) -> None:
        """Keep a new instance's uuid for its host, which is about to hear of it."""
        if operation.kind is Kind.CREATE:
            self._fleet.note_creation(operation)

    async def _reject(self, operation: Operation, error: FleetError, *, free_key: bool) -> None:
        refused = rejected(operation, error, rfc3339(self._clock.wall()))
        self._ledger.learn(refused)
        try:
            await self._store.reject(refused, free_key=free_key)
        except DatabaseUnavailable as exc:
            # The row stays `submitting`; resolving it will come to the same end.
            log.warning("rejection not kept", extra=_described(operation, exc))

    async def _keep(self, reported: Operation) -> Operation:
        current = self._ledger.learn(reported)
        try:
            await self._store.merge([reported])
        except DatabaseUnavailable as exc:
            # The worker has it, and its events will bring it to the database.
            log.warning("answer of a worker not kept", extra=_described(reported, exc))
        return current

    def _request(self, change: Change, key: IdempotencyKey | None, now: float) -> StoredRequest:
        return StoredRequest(
            address=change.caller.address,
            created=now,
            lease=self._lease(now),
            key=key,
            new_name=change.new_name,
        )

    def _lease(self, now: float) -> Lease:
        return Lease(self._submitting.gateway, now + self._submitting.lease_s)


def _begun(change: Change, created_at: str) -> Operation:
    # A creation has the uuid of what it makes: so it is found by the id that the caller was given.
    new_id = change.target.uuid if change.kind is Kind.CREATE else str(uuid4())
    return Operation(
        operation_id=new_id,
        host=change.target.host,
        kind=change.kind,
        instance=change.target.name,
        uuid=change.target.uuid,
        principal=change.caller.principal,
        state=State.SUBMITTING,
        project=change.target.project,
        arguments=change.arguments,
        created_at=created_at,
        correlation_id=change.caller.correlation_id,
    )


def _at(change: Change, operation: Operation) -> Operation:
    """Return an operation that no worker has taken yet as that of the host of the change."""
    target = change.target
    return replace(operation, host=target.host, instance=target.name, arguments=change.arguments)


def _key(change: Change) -> IdempotencyKey | None:
    if change.idempotency_key is None:
        return None
    return IdempotencyKey(change.caller.principal, change.idempotency_key, change.fingerprint)


def _described(operation: Operation, error: FleetError) -> dict[str, str]:
    return {"operation": operation.operation_id, "host": operation.host, "reason": str(error)}
