"""The gateways' calls: take an operation on, say what became of one, call one off."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.lxd_worker.creation import cloud_init
from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.instances.observation import Observation, meant
from services.lxd_worker.instances.validation import (
    check_arguments,
    check_labels,
    check_name,
    check_password,
)
from services.lxd_worker.journal import entry as entries
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.plan import AllocationPlan
from services.lxd_worker.operations.planning import planned_restore, planned_update
from services.lxd_worker.operations.secrets import PendingSecrets
from services.lxd_worker.ports import CachedInstances, Journal, Lxd, Signal, WorkerClock
from services.lxd_worker.rebuild.planning import planned_rebuild, planned_revert
from services.lxd_worker.transitions import rebuild
from services.lxd_worker.transitions.decision import is_alteration, refusal
from services.lxd_worker.transitions.steps import Situation
from shared.contracts.changes import Changes
from shared.contracts.errors import (
    Cancelled,
    FleetError,
    InstanceChangedSince,
    InstanceExists,
    InstanceReplaced,
    InvalidInput,
    OperationExpired,
    OperationInProgress,
    OperationNotCancellable,
    OperationNotFound,
)
from shared.contracts.instances import etag
from shared.contracts.operations import Kind, Operation, State, Submission
from shared.contracts.worker_api import OperationPage
from shared.lxd.scope import LxdScope

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 1000
_TAKES_SECRETS = (Kind.CREATE, Kind.PASSWORD)
_TAKES_SOMETHING = (Kind.CREATE, Kind.UPDATE, Kind.RESTORE, *rebuild.KINDS)
_LONGEST_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class HostOperations:
    """Answers the gateways. `carry_out` starts work on an operation and returns at once.

    `tell` has an instance, by its project and name, told to them as it is.
    """

    host: str
    journal: Journal
    lxd: Lxd
    clock: WorkerClock
    carry_out: Callable[[JournalEntry], None]
    changed: Signal
    most_unfinished: int
    admission: Admission
    awaited: PendingSecrets
    scope: LxdScope
    known: CachedInstances
    tell: Callable[[str, str], None]

    def submit(self, submission: Submission) -> Operation:
        """Take an operation on and return it as journalled; the same id again changes nothing.

        Errors as `LxdWorker.submit` lists them, and InvalidInput for an order that no gateway of
        this release makes.
        """
        return self._once(submission, secret=bool(submission.secrets))

    def prepare(self, submission: Submission) -> Operation:
        """Take an operation on that begins when its secrets come; else as `submit`."""
        if submission.kind not in _TAKES_SECRETS:
            raise InvalidInput("kind", " or ".join(_TAKES_SECRETS))
        return self._once(submission, secret=True)

    def deliver_secrets(self, operation_id: str, secrets: Mapping[str, str]) -> Operation:
        """Begin an operation that waits for its secrets; return it as it stands then.

        It is withdrawn where the guest could not use them. Later ones change nothing.
        """
        entry = self.journal.find(operation_id)
        if entry is None:
            raise OperationNotFound(operation_id)
        try:
            _check_secrets(entry, secrets)
        except InvalidInput as error:
            return self._withdraw(operation_id, error).operation
        self.awaited.give(operation_id, secrets)
        return entry.operation

    def resolve(self, operation_id: str) -> Operation | None:
        """Return the operation, or None: it never came, and from now on it never can."""
        entry = self.journal.resolve(operation_id, self.clock.unix())
        return entry.operation if entry else None

    def cancel(self, operation_id: str) -> Operation:
        """Call an operation off: at once if it has not begun, else if LXD can cancel its step."""
        entry = self._withdraw(operation_id, Cancelled())
        if entry.operation.state is not State.CANCELLED:
            entry = self._interrupt(entry)
            self.changed()
        return entry.operation

    def operations_since(self, sequence: int, limit: int) -> OperationPage:
        """Return what changed after a journal sequence, oldest change first."""
        limit = max(1, min(limit, _MOST_AT_ONCE))
        found = self.journal.since(sequence, limit)
        more = bool(found and self.journal.since(found[-1].sequence, 1))
        return OperationPage(operations=found, more=more)

    def _once(self, submission: Submission, *, secret: bool) -> Operation:
        try:
            return self._submit(submission, secret=secret)
        except FleetError:
            # An order that came before may find now what it has itself brought about.
            if known := self.journal.find(submission.operation_id):
                return known.operation
            raise

    def _submit(self, submission: Submission, *, secret: bool) -> Operation:
        self._check(submission)
        if submission.kind is not Kind.CREATE:
            self._check_target(submission)
        if submission.kind is Kind.PASSWORD:
            return self._take_on(submission, AllocationPlan(secret=True))
        if submission.kind not in _TAKES_SOMETHING:
            return self._take_on(submission)
        return self._allot(submission, secret=secret)

    def _check(self, submission: Submission) -> None:
        if submission.host != self.host:
            raise InvalidInput("host", f"this worker serves {self.host}")
        if not self.scope.serves(submission.project):
            raise InvalidInput("project", "one of those that this host's worker serves")
        check_name(submission.instance)
        check_arguments(submission.kind, submission.arguments)
        _check_durations(submission)
        if self._start_by(submission) < self.clock.unix():
            raise OperationExpired(submission.operation_id)

    def _allot(self, submission: Submission, *, secret: bool) -> Operation:
        """Take on an order that takes something of the host."""
        arrived, ledger = self.clock.monotonic(), self.admission.ledger
        creates = submission.kind is Kind.CREATE
        offered = self.admission.look_into(submission) if creates else None
        with ledger.lock:
            if offered:
                allotted = self.admission.ledger.allotted(arrived)
                plan = self.admission.plan(submission, offered, allotted, secret=secret)
                return self._take_on(submission, plan)
            return self._take_on(*self._planned(submission, arrived))

    def _planned(
        self, submission: Submission, arrived: float
    ) -> tuple[Submission, AllocationPlan | None]:
        found = self.lxd.instance(submission.project, submission.instance).instance
        if found is None:
            # What waits for the creation of its instance takes nothing of the host.
            changes = submission.arguments.changes or Changes()
            check_labels(changes.labels or {})
            return submission, None
        if submission.kind is Kind.RESTORE:
            return submission, planned_restore(self.admission, submission, found, arrived)
        if submission.kind is Kind.REBUILD:
            return submission, planned_rebuild(
                self.admission, submission, found, arrived, self.clock.unix()
            )
        if submission.kind is Kind.REVERT:
            return submission, planned_revert(self.lxd, submission, found, self.clock.unix())
        return planned_update(self.admission, submission, found, arrived)

    def _take_on(self, submission: Submission, plan: AllocationPlan | None = None) -> Operation:
        start_by = self._start_by(submission)
        entry = entries.accepted(submission, self.clock.now(), plan, start_by)
        acceptance = self.journal.accept(entry, self.host, self.most_unfinished)
        if acceptance.fresh:
            self.admission.ledger.note(acceptance.entry)
            self._begin(acceptance.entry, submission.secrets)
        return acceptance.entry.operation

    def _start_by(self, submission: Submission) -> float:
        """Return until when an order may begin, as Unix time by this host's own clock.

        A gateway's clock may be another one: what an earlier release says by it is all there is.
        """
        if submission.start_within_s is None:
            return _unix(submission.start_by)
        return self.clock.unix() + submission.start_within_s

    def _begin(self, entry: JournalEntry, secrets: dict[str, str]) -> None:
        if entry.awaits_secrets:
            self.awaited.expect(entry)
            if secrets:
                self.awaited.give(entry.operation.operation_id, secrets)
        # What waits is begun by whoever ends what it waits for.
        elif not entry.operation.waits_for:
            self.carry_out(entry)

    def _withdraw(self, operation_id: str, error: FleetError) -> JournalEntry:
        """Journal the end of an operation of which nothing has begun; return it as it is then."""
        entry = self.journal.advance(
            operation_id, lambda entry: entries.withdrawn(entry, self.clock.now(), error)
        )
        # Whoever carries it out sees to those that wait for its end.
        if entry.operation.final:
            self.awaited.release(operation_id)
        self.changed()
        return entry

    def _check_target(self, submission: Submission) -> None:
        if not is_alteration(submission.kind) and self._is_there(submission):
            return
        holder = self.journal.holder(submission.project, submission.instance)
        if holder and holder.operation.kind is Kind.CREATE:
            _check_chained(submission, holder.operation)
            return
        if holder and holder.operation.kind in rebuild.KINDS:
            # Its name may be nobody's at this moment.
            raise OperationInProgress(submission.instance, holder.operation.operation_id)
        look = self.lxd.examine if is_alteration(submission.kind) else self.lxd.glance
        seen = look(submission.project, submission.instance)
        found = meant(seen, submission.instance, submission.uuid)
        if error := self._refusal(submission, found):
            raise error

    def _is_there(self, submission: Submission) -> bool:
        """Whether the instance is known to be the one that is meant, without asking LXD."""
        known = self.known() or {}
        instance = known.get((submission.project, submission.instance))
        return bool(instance and submission.uuid and instance.uuid == submission.uuid)

    def _refusal(self, submission: Submission, seen: Observation) -> FleetError | None:
        """Return why there is nothing to begin; what can go wrong later is found out again then."""
        name, wanted = submission.instance, submission.arguments
        other = "" if wanted.new_name == name else wanted.new_name
        if other and self.lxd.glance(submission.project, other):
            return InstanceExists(other)
        if wanted.etag and wanted.etag != self._etag(submission):
            # Among many large ones it was told shorter than it is: reading it again shall help.
            self.tell(submission.project, name)
            return InstanceChangedSince(name)
        return refusal(submission.kind, Situation(name=name, arguments=wanted, now=seen))

    def _etag(self, submission: Submission) -> str:
        found = self.lxd.instance(submission.project, submission.instance).instance
        return etag(found) if found else ""

    def _interrupt(self, entry: JournalEntry) -> JournalEntry:
        operation_id = entry.operation.operation_id
        running = entry.operation.state in (State.RUNNING, State.CANCELLING)
        if not (running and entry.lxd_operation and self.lxd.cancel(entry.lxd_operation)):
            raise OperationNotCancellable(operation_id)
        log.info("operation is being cancelled", extra={"operation": operation_id})
        return self.journal.advance(operation_id, entries.cancelling)


def _check_chained(submission: Submission, creation: Operation) -> None:
    if submission.uuid != creation.uuid:
        raise InstanceReplaced(submission.instance)
    changes = submission.arguments.changes
    if submission.kind in rebuild.KINDS or (changes and changes.forwards is not None):
        raise OperationInProgress(submission.instance, creation.operation_id)


def _check_secrets(entry: JournalEntry, secrets: Mapping[str, str]) -> None:
    if not entry.awaits_secrets:
        return
    if entry.operation.kind is Kind.PASSWORD:
        check_password(secrets.get(cloud_init.ROOT_PASSWORD, ""))
    elif wanted := entry.operation.arguments.create:
        cloud_init.check(wanted.ssh_keys, secrets)


def _check_durations(submission: Submission) -> None:
    for name, seconds in (
        ("timeout_s", submission.timeout_s),
        ("stop_timeout_s", submission.arguments.stop_timeout_s),
    ):
        if not 0 <= seconds <= _LONGEST_S:
            raise InvalidInput(name, f"0-{_LONGEST_S} seconds")


def _unix(text: str) -> float:
    try:
        moment = float(text)
    except ValueError:
        moment = math.nan
    if not math.isfinite(moment):
        raise InvalidInput("start_by", "Unix time in seconds, as text")
    return moment
