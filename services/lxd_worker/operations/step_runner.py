"""Takes the steps of an operation: journal first, then LXD, then what became of it."""

from __future__ import annotations

import logging

from services.lxd_worker.instance_queries import last_lines
from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.operations.lxd_wait import LxdWait
from services.lxd_worker.operations.observer import OperationObserver
from services.lxd_worker.operations.record import OperationContext, OperationRecord
from services.lxd_worker.operations.secrets import (
    PASSWORD_STEPS,
    request_creation,
    take_password_step,
)
from services.lxd_worker.transitions.rebuild import judge_swap
from services.lxd_worker.transitions.snapshots import COMMAND_STEPS
from services.lxd_worker.transitions.step_verdict import Verdict, judge, judge_creation
from services.lxd_worker.transitions.steps import Step
from shared.contracts import errors

log = logging.getLogger(__name__)

_STARTS = (Step.START, Step.RESTART, Step.FORCE_RESTART, Step.RESTORE)
# A request that a hanging LXD has read but not begun has an effect only later.
SETTLE_S = 2.0


class StepRunner:
    """Takes the steps of one operation. Every method raises LxdUnavailable, DatabaseUnavailable.

    `start_log` is what LXD has written about a start that failed.
    """

    def __init__(
        self,
        context: OperationContext,
        record: OperationRecord,
        observer: OperationObserver,
        lxd_wait: LxdWait,
    ) -> None:
        self._context = context
        self._lxd = context.lxd
        self._record = record
        self._observer = observer
        self._wait = lxd_wait
        self.start_log = ""

    def take(self, step: Step, now: Observation | None) -> errors.FleetError | None:
        """Take a step and return why it failed; None: LXD has done it. Raises OutcomeUnknown."""
        taken = (*self._record.entry.taken, step)
        at = self._context.clock.now()
        self._record.publish(lambda entry: entry.begin(step, now, at))
        if self._record.entry.taken != taken:
            return errors.Cancelled()
        log.info("step begun", extra=self._record.names(step=step.value))
        error = self._hand_over(step)
        while (
            isinstance(error, errors.LxdBusy) and step is not Step.CREATE and self._may_try_again()
        ):
            # Nothing was begun; and LXD may still report that refusal once it has accepted.
            self._record.write(lambda entry: entry.hand_over(""))
            error = self._hand_over(step)
        return error

    def outcome(self) -> errors.FleetError | None:
        """Return why the step begun last failed; None: it is done. Raises OutcomeUnknown."""
        error = self._end_of_step()
        if isinstance(error, errors.LxdRefused) and self._record.entry.taken[-1] in _STARTS:
            self.start_log = self._last_lines()
        return error

    def _hand_over(self, step: Step) -> errors.FleetError | None:
        try:
            if step in PASSWORD_STEPS:
                take_password_step(step, self._record.entry, self._lxd, self._context.secrets)
                return None
            if step in COMMAND_STEPS:
                self._run_command(step)
                return None
            self._observer.expect(step)
            lxd_operation = self._request(step)
        except (errors.PermanentError, errors.StepInterrupted, errors.LxdBusy) as exc:
            return exc
        self._record.write(lambda entry: entry.hand_over(lxd_operation))
        return self.outcome()

    def _request(self, step: Step) -> str:
        if step is Step.CREATE:
            return request_creation(self._record.entry, self._lxd, self._context.secrets)
        return self._lxd.request(step, self._record.entry)

    def _run_command(self, step: Step) -> None:
        """Run a command inside the guest; nobody can find out later what became of it."""
        operation = self._record.operation
        arguments = operation.arguments
        command = arguments.pre if step is Step.RUN_PRE else arguments.post
        try:
            if command:
                self._lxd.run_command(operation.project, operation.instance, command)
        except errors.OutcomeUnknown as exc:
            raise errors.StepInterrupted(step.value) from exc

    def _may_try_again(self) -> bool:
        log.info("lxd is busy with the instance", extra=self._record.names())
        operation = self._record.operation
        return self._wait.until_idle(operation.project, operation.instance)

    def _last_lines(self) -> str:
        """Return the end of LXD's log of the instance; empty if it cannot be read now."""
        operation = self._record.operation
        try:
            log = self._lxd.start_log(operation.project, operation.instance)
        except errors.LxdUnavailable:
            return ""
        return last_lines(log or "")

    def _end_of_step(self) -> errors.FleetError | None:
        """Return the step's error by LXD's word, or by evidence if LXD has forgotten it."""
        if self._record.entry.taken[-1] in COMMAND_STEPS:
            return errors.StepInterrupted(self._record.operation.step)
        if lxd_operation := self._record.entry.lxd_operation:
            state = self._wait.until_ended(lxd_operation)
            if state is not None:
                return self._explain(state.error)
        verdict = self._verdict()
        if verdict is Verdict.NOT_DONE:
            self._context.clock.sleep(SETTLE_S)
            verdict = self._verdict()
        log.info("step judged by evidence", extra=self._record.names(verdict=verdict.value))
        if verdict is Verdict.UNDECIDABLE:
            raise errors.OutcomeUnknown(self._context.host)
        return (
            None if verdict is Verdict.DONE else errors.StepInterrupted(self._record.operation.step)
        )

    def _explain(self, error: errors.FleetError | None) -> errors.FleetError | None:
        """A step that LXD cancelled because its time was over has timed out."""
        operation = self._record.operation
        if isinstance(error, errors.Cancelled) and operation.overdue:
            return errors.StepTimedOut(operation.step)
        return error

    def _verdict(self) -> Verdict:
        """Judge the step begun last by the instance, once LXD is idle with it."""
        entry, operation = self._record.entry, self._record.operation
        for name in self._observer.names():
            for lxd_operation in self._lxd.running_operations(operation.project, name):
                self._wait.for_ever(lxd_operation)
        situation = self._observer.situation(None, with_init=True)
        step = entry.taken[-1]
        if situation.swap:
            return judge_swap(step, situation.swap)
        if step is Step.CREATE:
            return judge_creation(situation.now)
        if entry.before is None:
            return Verdict.UNDECIDABLE
        return judge(step, operation.arguments, entry.before, situation.now)
