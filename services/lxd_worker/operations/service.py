"""The gateways' calls about operations: accept one, report what became of it, cancel it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.instances.observation import Observation, require_instance
from services.lxd_worker.journal.entry import AllocationPlan, JournalEntry
from services.lxd_worker.operations.planning import plan_change
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.secrets import PendingSecrets
from services.lxd_worker.operations.validation import (
    TAKES_SECRETS,
    check_chained,
    check_secrets,
    check_submission,
    start_by,
)
from services.lxd_worker.protocols import CachedInstances
from services.lxd_worker.transitions.next_step import (
    changes_config,
    early_failure,
    shows_in_snapshots,
)
from services.lxd_worker.transitions.rebuild import SWAP_KINDS
from services.lxd_worker.transitions.steps import Situation
from shared.contracts import errors
from shared.contracts.instance_etag import etag
from shared.contracts.operations import Kind, Operation, State, Submission
from shared.contracts.worker_api import OperationPage
from shared.lxd.scope import LxdScope

log = logging.getLogger(__name__)

_MOST_ON_A_PAGE = 1000
_TAKES_ALLOCATIONS = (Kind.CREATE, Kind.UPDATE, Kind.RESTORE, *SWAP_KINDS)


@dataclass(frozen=True, slots=True)
class HostOperations:
    """Answers the gateways. `start` starts work on an operation and returns at once.

    `report` has an instance, by its project and name, reported to the fleet as it is.
    """

    context: OperationContext
    start: Callable[[JournalEntry], None]
    most_unfinished: int
    admission: Admission
    pending: PendingSecrets
    scope: LxdScope
    cached: CachedInstances
    report: Callable[[str, str], None]

    def submit(self, submission: Submission) -> Operation:
        """Accept a command and return its operation; the same id again changes nothing.

        Errors as listed in `WorkerClient.submit`, and InvalidInput for a command that no gateway of
        this release sends.
        """
        return self._accept_once(submission, secret=bool(submission.secrets))

    def prepare(self, submission: Submission) -> Operation:
        """Accept a command that begins when its secrets come; else as `submit`."""
        if submission.kind not in TAKES_SECRETS:
            raise errors.InvalidInput("kind", " or ".join(TAKES_SECRETS))
        return self._accept_once(submission, secret=True)

    def deliver_secrets(self, operation_id: str, secrets: Mapping[str, str]) -> Operation:
        """Begin an operation that waits for its secrets; return it as it is then.

        It is withdrawn if the guest could not use them. Delivering them again changes nothing.
        """
        entry = self.context.journal.find(operation_id)
        if entry is None:
            raise errors.OperationNotFound(operation_id)
        try:
            check_secrets(entry, secrets)
        except errors.InvalidInput as error:
            return self._withdraw(operation_id, error).operation
        self.pending.deliver(operation_id, secrets)
        return entry.operation

    def resolve(self, operation_id: str) -> Operation | None:
        """Return the operation, or None: it never came, and from now on it never can."""
        entry = self.context.journal.resolve(operation_id, self.context.clock.unix())
        return entry.operation if entry else None

    def cancel(self, operation_id: str) -> Operation:
        """Cancel an operation: at once if it has not begun, else if LXD can cancel its step."""
        entry = self._withdraw(operation_id, errors.Cancelled())
        if entry.operation.state is not State.CANCELLED:
            entry = self._interrupt(entry)
            self.context.changed()
        return entry.operation

    def operations_since(self, sequence: int, limit: int) -> OperationPage:
        """Return what changed after a sequence number of the journal, oldest change first."""
        limit = max(1, min(limit, _MOST_ON_A_PAGE))
        found = self.context.journal.since(sequence, limit)
        more = bool(found and self.context.journal.since(found[-1].sequence, 1))
        return OperationPage(operations=found, more=more)

    def _accept_once(self, submission: Submission, *, secret: bool) -> Operation:
        try:
            return self._accept(submission, secret=secret)
        except errors.FleetError:
            # A command that came before may now be refused for what it has itself brought about.
            if known := self.context.journal.find(submission.operation_id):
                return known.operation
            raise

    def _accept(self, submission: Submission, *, secret: bool) -> Operation:
        check_submission(submission, self.context.host, self.scope, self.context.clock.unix())
        if submission.kind is not Kind.CREATE:
            self._check_target(submission)
        if submission.kind is Kind.PASSWORD:
            return self._journal(submission, AllocationPlan(secret=True))
        if submission.kind not in _TAKES_ALLOCATIONS:
            return self._journal(submission)
        return self._allocate(submission, secret=secret)

    def _allocate(self, submission: Submission, *, secret: bool) -> Operation:
        """Accept a command that takes something from the host."""
        arrived, allocations = self.context.clock.monotonic(), self.admission.allocations
        creates = submission.kind is Kind.CREATE
        offer = self.admission.offer(submission) if creates else None
        with allocations.lock:
            if offer:
                commitments = allocations.commitments(arrived)
                plan = self.admission.plan(submission, offer, commitments, secret=secret)
                return self._journal(submission, plan)
            now = self.context.clock.unix()
            return self._journal(*plan_change(self.admission, submission, arrived, now))

    def _journal(self, submission: Submission, plan: AllocationPlan | None = None) -> Operation:
        latest = start_by(submission, self.context.clock.unix())
        entry = JournalEntry.accept(submission, self.context.clock.now(), plan, latest)
        acceptance = self.context.journal.accept(entry, self.context.host, self.most_unfinished)
        if acceptance.fresh:
            self.admission.allocations.add(acceptance.entry)
            self._begin(acceptance.entry, submission.secrets)
        return acceptance.entry.operation

    def _begin(self, entry: JournalEntry, secrets: dict[str, str]) -> None:
        if entry.awaits_secrets:
            self.pending.expect(entry)
            if secrets:
                self.pending.deliver(entry.operation.operation_id, secrets)
        # What waits is started by whoever ends what it waits for.
        elif not entry.operation.waits_for:
            self.start(entry)

    def _withdraw(self, operation_id: str, error: errors.FleetError) -> JournalEntry:
        """Journal the end of an operation if nothing of it has begun; return it as it is then."""
        at = self.context.clock.now()
        entry = self.context.journal.advance(operation_id, lambda entry: entry.withdraw(at, error))
        # Its runner starts the operations that wait for its end.
        if entry.operation.final:
            self.pending.release(operation_id)
        self.context.changed()
        return entry

    def _check_target(self, submission: Submission) -> None:
        is_change = changes_config(submission.kind)
        if not is_change and self._is_cached(submission):
            return
        holder = self.context.journal.holder(submission.project, submission.instance)
        if holder and holder.operation.kind is Kind.CREATE:
            check_chained(submission, holder.operation)
            return
        if holder and holder.operation.kind in SWAP_KINDS:
            # At this moment no root may have the name.
            raise errors.OperationInProgress(submission.instance, holder.operation.operation_id)
        observed = self._observe(submission)
        observed = require_instance(observed, submission.instance, submission.uuid)
        if error := self._early_failure(submission, observed):
            raise error

    def _observe(self, submission: Submission) -> Observation | None:
        lxd, place = self.context.lxd, (submission.project, submission.instance)
        if shows_in_snapshots(submission.kind):
            return lxd.observe_snapshots(*place)
        if changes_config(submission.kind):
            return lxd.observe_fully(*place)
        return lxd.observe_briefly(*place)

    def _is_cached(self, submission: Submission) -> bool:
        """Whether the instance is known to exist, with this uuid, without asking LXD."""
        cached = self.cached() or {}
        instance = cached.get((submission.project, submission.instance))
        return bool(instance and submission.uuid and instance.uuid == submission.uuid)

    def _early_failure(
        self, submission: Submission, observed: Observation
    ) -> errors.FleetError | None:
        """Return why there is nothing to begin; what may change until then is checked again."""
        name, arguments = submission.instance, submission.arguments
        new_name = "" if arguments.new_name == name else arguments.new_name
        if new_name and self.context.lxd.observe_briefly(submission.project, new_name):
            return errors.InstanceExists(new_name)
        if arguments.etag and arguments.etag != self._etag(submission):
            # In an inventory of many large instances it was abridged: reading it again must help.
            self.report(submission.project, name)
            return errors.InstanceChangedSince(name)
        situation = Situation(name=name, arguments=arguments, now=observed)
        return early_failure(submission.kind, situation)

    def _etag(self, submission: Submission) -> str:
        found = self.context.lxd.instance(submission.project, submission.instance).instance
        return etag(found) if found else ""

    def _interrupt(self, entry: JournalEntry) -> JournalEntry:
        operation_id = entry.operation.operation_id
        is_running = entry.operation.state in (State.RUNNING, State.CANCELLING)
        if not (
            is_running and entry.lxd_operation and self.context.lxd.cancel(entry.lxd_operation)
        ):
            raise errors.OperationNotCancellable(operation_id)
        log.info("operation is being cancelled", extra={"operation": operation_id})
        return self.context.journal.advance(operation_id, lambda entry: entry.cancel())
