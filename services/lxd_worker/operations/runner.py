"""Carries out an operation until it has ended, whatever is unavailable meanwhile.

There is one way for an operation that was just accepted and for one that is found in the journal
after a crash: read the journal, settle the step that was begun, go on. So the absence of LXD or of
the journal is survived just like the death of this process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.journal.entry import JournalEntry, Outcome
from services.lxd_worker.operations.lxd_wait import LxdWait
from services.lxd_worker.operations.observer import OperationObserver
from services.lxd_worker.operations.record import OperationContext, OperationRecord
from services.lxd_worker.operations.step_runner import SETTLE_S, StepRunner
from services.lxd_worker.transitions.next_step import abort, decide
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    Situation,
    Step,
    Stuck,
    Undo,
)
from shared.contracts import errors
from shared.contracts.operations import Operation, State
from shared.platform.logs import correlation_id
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

RETRY_S = 1.0
MOST_RETRY_S = 1.5


class OperationRunner:
    """Carries out one operation, whose time starts with this object."""

    def __init__(self, context: OperationContext, entry: JournalEntry) -> None:
        self._context = context
        self._record = OperationRecord(context, entry)
        self._observer = OperationObserver(context, self._record)
        self._wait = LxdWait(context, self._record)
        self._steps = StepRunner(context, self._record, self._observer, self._wait)
        # Whether the journal may hold more than the record knows.
        self._interrupted = False

    def run(self) -> Operation:
        """Carry the operation out; return it once it has ended."""
        operation = self._record.operation
        correlation_id.set(operation.correlation_id)
        try:
            self._insist(self._drive)
        except Exception:
            # If it did not end, the instance would be locked for ever.
            log.exception("operation broke", extra={"operation": operation.operation_id})
            self._insist(self._give_up)
        finally:
            self._context.secrets.pop(operation.operation_id, None)
            self._context.reports.cancel_reading(operation.project, operation.instance)
        return self._record.operation

    def _insist(self, work: Callable[[], None]) -> None:
        backoff = Backoff(RETRY_S, MOST_RETRY_S)
        while True:
            try:
                work()
            except errors.TemporaryError as exc:
                operation_id = self._record.operation.operation_id
                waits = {"operation": operation_id, "error": str(exc)}
                log.warning("operation waits", extra=waits)
                self._context.clock.sleep(backoff.next_s())
            else:
                return

    def _drive(self) -> None:
        """Settle the step that was begun, if any, then take the others until the end.

        May raise LxdUnavailable and DatabaseUnavailable at any point; called again, it goes on from
        what the journal holds. Ends as `unknown` if nothing shows what became of a step.
        """
        if self._interrupted:
            self._record.read()
        self._interrupted = True
        if self._is_withdrawn():
            return
        try:
            self._take_steps()
        except errors.OutcomeUnknown as exc:
            self._finish(State.UNKNOWN, error=exc)

    def _take_steps(self) -> None:
        error = self._steps.outcome() if self._record.entry.taken else None
        while True:
            situation = self._observer.situation(error)
            self._follow_rename(situation.now)
            decision = self._decide(situation)
            if isinstance(decision, (Done, Failed, Stuck)):
                self._conclude(decision)
                return
            if isinstance(decision, Undo) and error and situation.cause:
                # LXD may still be busy with what it has just refused.
                self._context.clock.sleep(SETTLE_S)
            error = self._steps.take(self._step_of(decision), situation.now)

    def _decide(self, situation: Situation) -> Decision:
        kind = self._record.operation.kind
        decision = decide(kind, situation)
        if isinstance(decision, Step) and situation.last and self._wait.is_overdue():
            return abort(kind, situation, errors.StepTimedOut(situation.last.value))
        return decision

    def _step_of(self, decision: Step | Undo) -> Step:
        if isinstance(decision, Step):
            return decision
        self._record.write(lambda entry: entry.undo(decision.cause))
        names = self._record.names(cause=str(decision.cause))
        log.info("operation is undone", extra=names)
        return decision.step

    def _follow_rename(self, now: Observation | None) -> None:
        """Go on under the name that the instance has now."""
        if now and now.name != self._record.operation.instance:
            self._record.publish(lambda entry: entry.rename(now.name))

    def _is_withdrawn(self) -> bool:
        """Withdraw an operation that is late, or whose secrets are; return whether it has ended.

        One that had to wait for a creation is not late.
        """
        operation = self._record.operation
        if operation.state is State.ACCEPTED and not operation.waits_for:
            error = self._lateness()
            if error is None:
                return False
            at = self._context.clock.now()
            self._record.publish(lambda entry: entry.withdraw(at, error))
        return self._record.operation.final

    def _lateness(self) -> errors.FleetError | None:
        entry, operation_id = self._record.entry, self._record.operation.operation_id
        if entry.awaits_secrets and operation_id not in self._context.secrets:
            return errors.SecretsNotReceived(operation_id)
        if self._context.clock.unix() > entry.start_by:
            return errors.OperationExpired(operation_id)
        return None

    def _conclude(self, decision: Done | Failed | Stuck) -> None:
        if isinstance(decision, Stuck):
            self._finish(State.UNKNOWN, error=errors.OutcomeUnknown(self._context.host))
        elif isinstance(decision, Done):
            self._finish(
                State.DONE,
                changed=decision.changed,
                needs_restart=decision.needs_restart,
                gone=decision.gone,
                remark=decision.remark,
            )
        elif isinstance(decision.error, errors.Cancelled):
            self._finish(State.CANCELLED, error=decision.error, remark=decision.remark)
        else:
            changed = bool(self._record.entry.taken)
            self._finish(
                State.FAILED, changed=changed, error=decision.error, remark=decision.remark
            )

    def _finish(
        self,
        state: State,
        *,
        changed: bool = True,
        error: errors.FleetError | None = None,
        needs_restart: tuple[str, ...] = (),
        gone: bool = False,
        remark: errors.FleetError | None = None,
    ) -> None:
        """Journal the end, with the instance as it is now."""
        outcome = Outcome(
            changed=changed,
            error=error,
            after=self._observer.instance(),
            after_epoch=self._context.epoch,
            needs_restart=needs_restart,
            gone=gone,
            remark=remark,
            log=self._steps.start_log if isinstance(error, errors.LxdRefused) else "",
        )
        self._end(state, outcome)

    def _give_up(self) -> None:
        """Journal that the outcome is unknown, without asking LXD; an end stays as it is."""
        self._end(State.UNKNOWN, Outcome(error=errors.OutcomeUnknown(self._context.host)))

    def _end(self, state: State, outcome: Outcome) -> None:
        at = self._context.clock.now()
        self._record.publish(lambda entry: entry.start(at).finish(state, at, outcome))
        log.info(
            "operation ended", extra=self._record.names(state=self._record.operation.state.value)
        )
