"""Changing things: from a command to an operation, and from its id to its outcome.

An operation is in the database before its worker hears of it. What the worker then says is either
its journal's entry, a refusal that proves that nothing was started, or nothing; in the last case
the operation stays `submitting` until `Reconciler` knows. Only after such a refusal may it be
handed to another host, and it is in the database as that host's before that one hears of it.

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
from services.gateway.operations.command import Alternative, Caller, no_alternative
from services.gateway.operations.merge import (
    as_rejected,
    frees_key,
    proves_not_started,
    submission,
)
from services.gateway.operations.secrets import SecretDelivery
from services.gateway.operations.store import (
    IdempotencyKey,
    Lease,
    OperationFilter,
    OperationStore,
    StoredRequest,
)
from shared.contracts.errors import (
    DatabaseUnavailable,
    FleetError,
    OperationNotCancellable,
    OperationNotFound,
)
from shared.contracts.operations import (
    Command,
    Kind,
    Operation,
    Secrets,
    State,
    Submission,
    command_fields,
)
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
    """Executes commands, and tells what became of them."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        store: OperationStore,
        worker: LxdWorker,
        clock: Clock,
        settings: SubmitSettings,
        delivery: SecretDelivery,
    ) -> None:
        self._fleet = fleet
        self._cache = cache
        self._store = store
        self._worker = worker
        self._clock = clock
        self._settings = settings
        self._delivery = delivery

    async def execute(
        self,
        new_command: Callable[[], Command],
        caller: Caller,
        key: IdempotencyKey | None,
        wait_s: float,
        secrets: Secrets | None = None,
    ) -> Operation:
        """Return the operation of a command when it has ended, or as it stands after `wait_s`.

        It belongs to its host, not to the caller's connection: who hangs up changes nothing.

        `new_command` is asked under a new key only, for a repeated delete would find no instance.
        Raises what it raises, and as `submit` does.
        """
        operation = await self.recall(key) if key else None
        if operation is None:
            operation = await self.submit(new_command(), caller, key, secrets)
        return await self._ended(operation, wait_s)

    async def submit(
        self,
        command: Command,
        caller: Caller,
        key: IdempotencyKey | None = None,
        secrets: Secrets | None = None,
        *,
        new_name: str = "",
        alternative: Alternative = no_alternative,
    ) -> Operation:
        """Record the operation and hand it to the host's worker; return it as far as it got.

        A repeated Idempotency-Key returns the first call's operation. `secrets` are the arguments
        that no database may hold. `new_name` is the display name of a new instance that no other of
        its project may get at the same time, on whichever host; empty: that does not matter.

        Raises HostUnreachable, LxdUnavailable, BrokerUnavailable, DatabaseUnavailable,
        OperationInProgress, InstanceNotFound, InstanceReplaced, HostIdentityMismatch, HostBusy:
        nothing was started. Raises IdempotencyKeyReused, and InstanceExists for a `new_name` that
        is being given. When the worker's answer is lost, the operation returns in state
        `submitting` and its fate is found out in the background.

        A host that certainly started nothing is left for the one that `alternative` names; the
        operation stays the same one.
        """
        if key and (earlier := await self.recall(key)):
            return earlier
        command = self._reachable(command, alternative)
        now = self._clock.wall()
        operation = _submitting(command, rfc3339(now))
        request = StoredRequest(caller.address, now, self._lease(now), key, new_name)
        with self._cache.in_flight(operation.operation_id):
            stored = await self._store.insert(operation, request)
            if stored.operation_id != operation.operation_id:
                return self._cache.newest(stored)
            return await self._hand_over(operation, secrets, alternative)

    async def recall(self, key: IdempotencyKey) -> Operation | None:
        """Return the operation that a caller's Idempotency-Key stands for; None: a new key.

        Raises IdempotencyKeyReused when it came with another request.
        """
        stored = await self._store.find(key)
        return self._cache.newest(stored) if stored else None

    async def wait(self, operation_id: str, timeout_s: float) -> Operation:
        """Return the operation when it has ended, or as it stands after the time-out.

        A completed change shows in the fleet view before this returns. Raises OperationNotFound.
        """
        return await self._ended(await self.get(operation_id), timeout_s)

    async def get(self, operation_id: str) -> Operation:
        """Return one operation; raise OperationNotFound."""
        stored = await self._store.get(operation_id)
        # Only now: more may have been reported while the database was asked.
        known = self._cache.newest(stored) if stored else self._cache.find(operation_id)
        if known is None:
            raise OperationNotFound(operation_id)
        return known

    async def list(self, wanted: OperationFilter) -> Sequence[Operation]:
        """Return the operations that match, newest first, as they were reported last."""
        return self._cache.joined(await self._store.list(wanted), wanted)

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

    def watch(self, on_change: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `on_change` with every operation as soon as it changes; return what ends it."""
        return self._cache.watch(on_change)

    async def _ended(self, operation: Operation, timeout_s: float) -> Operation:
        newest = self._cache.newest(operation)
        return newest if newest.final else await self._cache.wait(newest, timeout_s)

    def _reachable(self, command: Command, alternative: Alternative) -> Command:
        """Return the command for a host that can be reached; raise what `alternative` raises."""
        while refusal := self._fleet.refusal(command.host):
            command = alternative(refusal)
        return command

    async def _hand_over(
        self, operation: Operation, secrets: Secrets | None, alternative: Alternative
    ) -> Operation:
        """Hand it to one host after the other until one takes it, or may have taken it."""
        self._reserve(operation)
        self._cache.record(operation)
        while True:
            within_s = self._settings.start_by_s
            start_by = self._clock.wall() + within_s
            if secrets:
                self._delivery.add(operation, secrets, start_by)
            order = submission(operation, start_by, within_s)
            try:
                accepted = await self._send(order, with_secrets=secrets is not None)
            except FleetError as error:
                if not proves_not_started(error):
                    log.warning("fate of a submission unknown", extra=_described(operation, error))
                    return operation
                self._delivery.drop(operation)
                operation = await self._moved(operation, error, alternative)
            else:
                kept = await self._keep(accepted)
                delivered = await self._delivery.deliver(kept)
                return kept if delivered.sequence == kept.sequence else await self._keep(delivered)

    async def _send(self, order: Submission, *, with_secrets: bool) -> Operation:
        return await (self._worker.prepare if with_secrets else self._worker.submit)(order)

    async def _moved(
        self, operation: Operation, refusal: FleetError, alternative: Alternative
    ) -> Operation:
        """Return the operation as another host's, kept as such; else reject it, and raise why."""
        try:
            command = self._reachable(alternative(refusal), alternative)
            moved = replace(operation, **command_fields(command))
            if not await self._store.move(moved, operation.host, self._lease(self._clock.wall())):
                raise refusal
        except FleetError as error:
            # Where other hosts were sought too, the answer is of a moment: no key stands for it.
            free_key = frees_key(refusal) or error is not refusal
            await self._reject(operation, refusal, free_key=free_key)
            raise
        self._reserve(moved)
        self._cache.move(operation, moved)
        return moved

    def _reserve(self, operation: Operation) -> None:
        """Keep a new instance's uuid for its host, which is about to hear of it."""
        if operation.kind is Kind.CREATE:
            self._fleet.note_creation(operation)

    async def _reject(self, operation: Operation, error: FleetError, *, free_key: bool) -> None:
        refused = as_rejected(operation, error, rfc3339(self._clock.wall()))
        self._cache.record(refused)
        try:
            await self._store.reject(refused, free_key=free_key)
        except DatabaseUnavailable as exc:
            # The row stays `submitting`; resolving it will come to the same end.
            log.warning("rejection not kept", extra=_described(operation, exc))

    async def _keep(self, reported: Operation) -> Operation:
        current = self._cache.record(reported)
        try:
            await self._store.merge([reported])
        except DatabaseUnavailable as exc:
            # The worker has it, and its events will bring it to the database.
            log.warning("answer of a worker not kept", extra=_described(reported, exc))
        return current

    def _lease(self, now: float) -> Lease:
        return Lease(self._settings.gateway, now + self._settings.lease_s)


def _submitting(command: Command, created_at: str) -> Operation:
    # A creation has the uuid of what it makes: so it is found by the id that the caller was given.
    new_id = command.uuid if command.kind is Kind.CREATE else str(uuid4())
    return Operation(
        **command_fields(command),
        operation_id=new_id,
        state=State.SUBMITTING,
        created_at=created_at,
    )


def _described(operation: Operation, error: FleetError) -> dict[str, str]:
    return {"operation": operation.operation_id, "host": operation.host, "reason": str(error)}
