"""Executes commands as operations, and follows operations to their outcome.

An operation is stored before it is submitted to its worker. The worker returns its journal entry,
raises an error that proves that nothing was started, or its reply is lost; then the operation stays
`submitting` until `Reconciler` has resolved it. Only after such an error may the operation move to
another host, and it is stored as that host's before it is submitted there.

Secrets are sent in a second step, only to the host that has accepted the operation.
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
    log_fields,
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
from shared.contracts.worker_api import WorkerClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    """This gateway's id, how long a worker may take to start, and how long no other gateway may
    resolve a submission.
    """

    gateway: str
    start_by_s: float
    lease_s: float


class OperationService:
    """Executes commands as operations, and returns their outcomes."""

    def __init__(
        self,
        fleet: FleetView,
        cache: OperationCache,
        store: OperationStore,
        worker: WorkerClient,
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
        """Execute a command; return its operation once it has ended, or as it is after `wait_s`.

        The operation goes on if the caller disconnects. `new_command` is called for a new key only,
        as a repeated delete would find no instance. Raises what it raises, and as `submit` does.
        """
        operation = await self.find_by_key(key) if key else None
        if operation is None:
            operation = await self.submit(new_command(), caller, key, secrets)
        return await self._wait_until_final(operation, wait_s)

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
        """Store the operation and submit it to the host's worker; return it as it is then.

        A repeated Idempotency-Key returns the first call's operation. `secrets` are never stored.
        `new_name` is a display name that no other new instance of the project may get at the same
        time, on any host; empty: no such check.

        Raises HostUnreachable, LxdUnavailable, BrokerUnavailable, DatabaseUnavailable,
        OperationInProgress, InstanceNotFound, InstanceReplaced, HostIdentityMismatch, HostBusy:
        nothing was started. Raises IdempotencyKeyReused, and InstanceExists if `new_name` is taken
        by an operation in progress. If the worker's reply is lost, the operation is returned in
        state `submitting` and resolved in the background.

        If a host has certainly started nothing, the same operation is submitted to the host that
        `alternative` returns.
        """
        if key and (earlier := await self.find_by_key(key)):
            return earlier
        command = self._for_reachable_host(command, alternative)
        now = self._clock.wall()
        operation = _submitting(command, rfc3339(now))
        request = StoredRequest(caller.address, now, self._lease(now), key, new_name)
        with self._cache.in_flight(operation.operation_id):
            stored = await self._store.insert(operation, request)
            if stored.operation_id != operation.operation_id:
                return self._cache.latest(stored)
            return await self._hand_over(operation, secrets, alternative)

    async def find_by_key(self, key: IdempotencyKey) -> Operation | None:
        """Return the operation of an Idempotency-Key; None: the key is new.

        Raises IdempotencyKeyReused if it was used with another request.
        """
        stored = await self._store.find(key)
        return self._cache.latest(stored) if stored else None

    async def wait(self, operation_id: str, timeout_s: float) -> Operation:
        """Return the operation once it has ended, or as it is after the time-out.

        The outcome is applied to the fleet view before this returns. Raises OperationNotFound.
        """
        return await self._wait_until_final(await self.get(operation_id), timeout_s)

    async def get(self, operation_id: str) -> Operation:
        """Return one operation; raise OperationNotFound."""
        stored = await self._store.get(operation_id)
        # Only now: more may have been reported during the query.
        operation = self._cache.latest(stored) if stored else self._cache.find(operation_id)
        if operation is None:
            raise OperationNotFound(operation_id)
        return operation

    async def get_creation(self, uuid: str) -> Operation:
        """Return the creation of an instance that does not exist; raise OperationNotFound.

        Most ids that nobody knows are asked for without a query: a page asks for instances that
        have just been deleted. With several gateways there is one each time, as another gateway may
        have stored a rejection that it told nobody.
        """
        if self._cache.find(uuid) is None and not self._store.may_hold_creation(uuid):
            raise OperationNotFound(uuid)
        return await self.get(uuid)

    async def list(self, filters: OperationFilter) -> Sequence[Operation]:
        """Return the matching operations, newest first, with their newest reports."""
        return self._cache.merge_with_stored(await self._store.list(filters), filters)

    async def cancel(self, operation_id: str) -> Operation:
        """Request the cancellation; raise OperationNotFound, OperationNotCancellable."""
        operation = await self.get(operation_id)
        if operation.final:
            raise OperationNotCancellable(operation_id)
        try:
            return await self._record(await self._worker.cancel(operation.host, operation_id))
        except OperationNotFound:
            # It exists, but has not reached its worker: there is nothing to cancel yet.
            raise OperationNotCancellable(operation_id) from None

    def watch(self, on_change: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `on_change` with each changed operation; return the function that unsubscribes."""
        return self._cache.watch(on_change)

    async def _wait_until_final(self, operation: Operation, timeout_s: float) -> Operation:
        latest = self._cache.latest(operation)
        return latest if latest.final else await self._cache.wait(latest, timeout_s)

    def _for_reachable_host(self, command: Command, alternative: Alternative) -> Command:
        """Return the command for a reachable host; raise what `alternative` raises."""
        while error := self._fleet.access_error(command.host):
            command = alternative(error)
        return command

    async def _hand_over(
        self, operation: Operation, secrets: Secrets | None, alternative: Alternative
    ) -> Operation:
        """Submit to one host after another until one has accepted, or may have."""
        self._reserve(operation)
        self._cache.record(operation)
        while True:
            within_s = self._settings.start_by_s
            start_by = self._clock.wall() + within_s
            if secrets:
                self._delivery.add(operation, secrets, start_by)
            message = submission(operation, start_by, within_s)
            try:
                accepted = await self._send(message, with_secrets=secrets is not None)
            except FleetError as error:
                if not proves_not_started(error):
                    log.warning("submission outcome unknown", extra=log_fields(operation, error))
                    return operation
                self._delivery.drop(operation)
                operation = await self._move(operation, error, alternative)
            else:
                recorded = await self._record(accepted)
                delivered = await self._delivery.deliver(recorded)
                return (
                    recorded
                    if delivered.sequence == recorded.sequence
                    else await self._record(delivered)
                )

    async def _send(self, submission: Submission, *, with_secrets: bool) -> Operation:
        return await (self._worker.prepare if with_secrets else self._worker.submit)(submission)

    async def _move(
        self, operation: Operation, refusal: FleetError, alternative: Alternative
    ) -> Operation:
        """Move the operation to another host, and store that; else reject it, and raise why."""
        try:
            command = self._for_reachable_host(alternative(refusal), alternative)
            moved = replace(operation, **command_fields(command))
            if not await self._store.move(moved, operation.host, self._lease(self._clock.wall())):
                raise refusal
        except FleetError as error:
            # With alternatives, the result depends on the moment: the key may be used again.
            free_key = frees_key(refusal) or error is not refusal
            await self._reject(operation, refusal, free_key=free_key)
            raise
        self._reserve(moved)
        self._cache.move(operation, moved)
        return moved

    def _reserve(self, operation: Operation) -> None:
        """Reserve a new instance's uuid for its host, before submitting to it."""
        if operation.kind is Kind.CREATE:
            self._fleet.record_creation(operation)

    async def _reject(self, operation: Operation, error: FleetError, *, free_key: bool) -> None:
        rejected = as_rejected(operation, error, rfc3339(self._clock.wall()))
        self._cache.record(rejected)
        try:
            await self._store.reject(rejected, free_key=free_key)
        except DatabaseUnavailable as exc:
            # The row stays `submitting`; resolving it will have the same result.
            log.warning("rejection not stored", extra=log_fields(operation, exc))

    async def _record(self, reported: Operation) -> Operation:
        current = self._cache.record(reported)
        try:
            await self._store.merge([reported])
        except DatabaseUnavailable as exc:
            # The worker has journalled it, and its events will bring it to the database.
            log.warning("worker reply not stored", extra=log_fields(reported, exc))
        return current

    def _lease(self, now: float) -> Lease:
        return Lease(self._settings.gateway, now + self._settings.lease_s)


def _submitting(command: Command, created_at: str) -> Operation:
    # A creation has the uuid of its instance, so that both are found by one id.
    new_id = command.uuid if command.kind is Kind.CREATE else str(uuid4())
    return Operation(
        **command_fields(command),
        operation_id=new_id,
        state=State.SUBMITTING,
        created_at=created_at,
    )
