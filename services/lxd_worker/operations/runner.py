"""One operation on its way: one step after another, each journalled before LXD hears of it."""

from __future__ import annotations

import logging

from services.lxd_worker.creation.admission import ask_to_create
from services.lxd_worker.instances.observation import Observation, is_meant
from services.lxd_worker.instances.start_log import last_lines
from services.lxd_worker.journal import entry as entries
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.lxd_wait import LxdWait
from services.lxd_worker.operations.passwords import PASSWORD_STEPS, take_password_step
from services.lxd_worker.operations.record import OperationRecord, RunnerContext
from services.lxd_worker.transitions.creation import made
from services.lxd_worker.transitions.decision import given_up, is_alteration, next_move
from services.lxd_worker.transitions.evidence import Verdict, evidence
from services.lxd_worker.transitions.rebuild import at_its_place, fulfilled
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    RootSwap,
    Situation,
    Step,
    Stuck,
    Undo,
)
from shared.contracts.errors import (
    Cancelled,
    FleetError,
    LxdBusy,
    LxdRefused,
    LxdUnavailable,
    OperationExpired,
    OutcomeUnknown,
    PermanentError,
    SecretsNotReceived,
    StepInterrupted,
    StepTimedOut,
)
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation, State

log = logging.getLogger(__name__)

_STARTS = (Step.START, Step.RESTART, Step.FORCE_RESTART, Step.RESTORE)
# A request that a hanging LXD has read but not begun shows only later.
SETTLE_S = 2.0


class OperationRunner:
    """One operation being carried out; its time runs from the making of this object."""

    def __init__(self, tools: RunnerContext, entry: JournalEntry) -> None:
        self.tools = tools
        self._kept = OperationRecord(tools, entry)
        self._waiting = LxdWait(tools, self._kept, entry.timeout_s)
        # Whether the journal may know more than this object.
        self._interrupted = False
        # What LXD has written about a start that failed.
        self._log = ""

    @property
    def operation(self) -> Operation:
        """The operation as journalled last."""
        return self._kept.operation

    @property
    def _entry(self) -> JournalEntry:
        return self._kept.entry

    def drive(self) -> None:
        """Settle the step that was begun, if any, then take the others until the end.

        Raises LxdUnavailable and DatabaseUnavailable at any point; call it again later, it goes on
        from what the journal holds. Ends as `unknown` where nothing tells what became of a step.
        """
        if self._interrupted:
            self._kept.note(entries.unchanged)
        self._interrupted = True
        if self._came_too_late():
            return
        try:
            self._take_steps()
        except OutcomeUnknown as exc:
            self.finish(State.UNKNOWN, error=exc)

    def _take_steps(self) -> None:
        error = self._outcome() if self._entry.taken else None
        while True:
            situation = self._situation(error)
            self._follow(situation.now)
            move = self._next_move(situation)
            if isinstance(move, (Done, Failed, Stuck)):
                self._conclude(move)
                return
            if isinstance(move, Undo) and error and situation.cause:
                # LXD may be busy with what it has just refused.
                self.tools.clock.sleep(SETTLE_S)
            error = self._take(self._step_of(move), situation.now)

    def _next_move(self, situation: Situation) -> Decision:
        kind = self.operation.kind
        move = next_move(kind, situation)
        if isinstance(move, Step) and situation.last and self._waiting.time_is_over():
            return given_up(kind, situation, StepTimedOut(situation.last.value))
        return move

    def _step_of(self, move: Step | Undo) -> Step:
        if isinstance(move, Step):
            return move
        self._kept.note(lambda entry: entries.undoing(entry, move.cause))
        log.info("what was made is taken away", extra=self._kept.names(cause=str(move.cause)))
        return move.step

    def finish(
        self,
        state: State,
        *,
        changed: bool = True,
        error: FleetError | None = None,
        needs_restart: tuple[str, ...] = (),
        gone: bool = False,
    ) -> None:
        """Journal the end, with the instance as it stands now."""
        after = self._after()
        self._end(state, changed, error, after, needs_restart, gone)

    def give_up(self) -> None:
        """Journal that the outcome is unknown, and ask nobody; what has ended stays as it is."""
        self._end(State.UNKNOWN, error=OutcomeUnknown(self.tools.host))

    def _end(
        self,
        state: State,
        changed: bool = True,
        error: FleetError | None = None,
        after: Instance | None = None,
        needs_restart: tuple[str, ...] = (),
        gone: bool = False,
    ) -> None:
        self._kept.advance(
            lambda entry: entries.ended(
                entries.started(entry, self.tools.clock.now()),
                state,
                self.tools.clock.now(),
                changed=changed,
                error=error,
                after=after,
                after_epoch=self.tools.epoch,
                needs_restart=needs_restart,
                gone=gone,
                log=self._log if isinstance(error, LxdRefused) else "",
            )
        )
        log.info("operation ended", extra=self._kept.names(state=self.operation.state.value))

    def _came_too_late(self) -> bool:
        """Withdraw an operation that is late, or whose secrets are; return whether it has ended.

        One that had to wait for a creation was in time.
        """
        if self.operation.state is State.ACCEPTED and not self.operation.waits_for:
            late = self._lateness()
            if late is None:
                return False
            self._kept.advance(lambda entry: entries.withdrawn(entry, self.tools.clock.now(), late))
        return self.operation.final

    def _lateness(self) -> FleetError | None:
        operation_id = self.operation.operation_id
        if self._entry.awaits_secrets and operation_id not in self.tools.secrets:
            return SecretsNotReceived(operation_id)
        if self.tools.clock.unix() > self._entry.start_by:
            return OperationExpired(operation_id)
        return None

    def _situation(self, error: FleetError | None) -> Situation:
        swap = self._roots()
        found = at_its_place(swap) if swap else self._find()
        now = found if found and self._is_meant(found) else None
        return Situation(
            name=self.operation.instance,
            arguments=self.operation.arguments,
            now=now,
            replaced=found is not now,
            taken=self._entry.taken,
            error=error,
            before=self._entry.before,
            first=self._entry.first,
            cause=self._entry.cause,
            swap=swap,
        )

    def _roots(self) -> RootSwap | None:
        """Look at the two roots of a rebuild or a revert, whatever they are called now."""
        plan = self._entry.plan.swap if self._entry.plan else None
        if plan is None:
            return None
        wanted = self.operation
        names = (wanted.instance, plan.beside, plan.trash)
        looks = (self.tools.lxd.look(wanted.project, name) for name in names)
        roots = [root for root in looks if root and self._is_meant(root)]
        return RootSwap(
            name=wanted.instance,
            beside=plan.beside,
            trash=plan.trash,
            old=next((root for root in roots if root.root != plan.incoming), None),
            new=next((root for root in roots if root.root == plan.incoming), None),
        )

    def _conclude(self, move: Done | Failed | Stuck) -> None:
        if isinstance(move, Stuck):
            self.finish(State.UNKNOWN, error=OutcomeUnknown(self.tools.host))
        elif isinstance(move, Done):
            self.finish(
                State.DONE,
                changed=move.changed,
                needs_restart=move.needs_restart,
                gone=move.gone,
            )
        elif isinstance(move.error, Cancelled):
            self.finish(State.CANCELLED, error=move.error)
        else:
            self.finish(State.FAILED, changed=bool(self._entry.taken), error=move.error)

    def _take(self, step: Step, now: Observation | None) -> FleetError | None:
        """Take a step and return why it failed; None when LXD has done it."""
        taken = (*self._entry.taken, step)
        self._kept.advance(lambda entry: entries.begun(entry, step, now, self.tools.clock.now()))
        if self._entry.taken != taken:
            return Cancelled()
        log.info("step begun", extra=self._kept.names(step=step.value))
        error = self._hand_over(step)
        while isinstance(error, LxdBusy) and step is not Step.CREATE and self._may_ask_again():
            # Nothing was begun; and LXD may remember its no when it has said yes.
            self._kept.note(lambda entry: entries.handed_over(entry, ""))
            error = self._hand_over(step)
        return error

    def _hand_over(self, step: Step) -> FleetError | None:
        try:
            if step in PASSWORD_STEPS:
                take_password_step(step, self._entry, self.tools.lxd, self.tools.secrets)
                return None
            lxd_operation = self._ask(step)
        except (PermanentError, StepInterrupted, LxdBusy) as exc:
            return exc
        self._kept.note(lambda entry: entries.handed_over(entry, lxd_operation))
        return self._outcome()

    def _may_ask_again(self) -> bool:
        log.info("lxd is busy with the instance", extra=self._kept.names())
        wanted = self.operation
        return self._waiting.until_at_rest(wanted.project, wanted.instance)

    def _ask(self, step: Step) -> str:
        if step is Step.CREATE:
            return ask_to_create(self._entry, self.tools.lxd, self.tools.secrets)
        return self.tools.lxd.ask(step, self._entry)

    def _outcome(self) -> FleetError | None:
        error = self._end_of_step()
        if isinstance(error, LxdRefused) and self._entry.taken[-1] in _STARTS:
            self._log = self._last_lines()
        return error

    def _last_lines(self) -> str:
        """Return the end of LXD's log of the instance; empty where it cannot be read now."""
        try:
            log = self.tools.lxd.log(self.operation.project, self.operation.instance)
        except LxdUnavailable:
            return ""
        return last_lines(log or "")

    def _end_of_step(self) -> FleetError | None:
        """Return why the step begun last failed, None when it was done: by LXD's word, else by
        evidence.
        """
        if self._entry.lxd_operation:
            heard = self._waiting.until_ended(self._entry.lxd_operation)
            if heard is not None:
                return self._explained(heard.error)
        verdict = self._verdict()
        if verdict is Verdict.NOT_DONE:
            self.tools.clock.sleep(SETTLE_S)
            verdict = self._verdict()
        return self._judged(verdict)

    def _explained(self, error: FleetError | None) -> FleetError | None:
        """A step that LXD cancelled because we ran out of time has timed out."""
        if isinstance(error, Cancelled) and self.operation.overdue:
            return StepTimedOut(self.operation.step)
        return error

    def _verdict(self) -> Verdict:
        """Judge the step begun last by the instance, when LXD is at rest with it."""
        wanted = self.operation
        for name in self._names():
            for lxd_operation in self.tools.lxd.under_way(wanted.project, name):
                self._waiting.for_ever(lxd_operation)
        situation = self._situation(None)
        if situation.swap:
            return fulfilled(self._entry.taken[-1], situation.swap)
        now = situation.now
        if self._entry.taken[-1] is Step.CREATE:
            return made(now)
        before = self._entry.before
        if before is None:
            return Verdict.UNDECIDABLE
        return evidence(self._entry.taken[-1], wanted.arguments, before, now)

    def _names(self) -> tuple[str, ...]:
        """Return what LXD may call the instance, or a part of it that is beside."""
        plan = self._entry.plan.swap if self._entry.plan else None
        beside = (plan.beside, plan.trash) if plan else ()
        return (self.operation.instance, *beside)

    def _judged(self, verdict: Verdict) -> FleetError | None:
        log.info("step judged by evidence", extra=self._kept.names(verdict=verdict.value))
        if verdict is Verdict.UNDECIDABLE:
            raise OutcomeUnknown(self.tools.host)
        return None if verdict is Verdict.DONE else StepInterrupted(self.operation.step)

    def _find(self) -> Observation | None:
        """Look at the instance; once a rename was begun it may have either name."""
        wanted = self.operation
        look = self.tools.lxd.examine if is_alteration(wanted.kind) else self.tools.lxd.look
        if Step.RENAME in self._entry.taken:
            found = look(wanted.project, wanted.arguments.new_name)
            if found and self._is_meant(found):
                return found
        return look(wanted.project, wanted.instance)

    def _follow(self, now: Observation | None) -> None:
        """Go on under the name that the instance has now."""
        if now and now.name != self.operation.instance:
            self._kept.advance(lambda entry: entries.renamed(entry, now.name))

    def _is_meant(self, seen: Observation) -> bool:
        return is_meant(seen, self.operation.uuid, self._entry.before)

    def _after(self) -> Instance | None:
        """Return the instance as it is now, None where it cannot be read.

        Whatever is wrong with the reading must not hold the end back, or change it.
        """
        try:
            found = self.tools.lxd.instance(self.operation.project, self.operation.instance)
        except LxdUnavailable:
            return None
        except Exception:
            log.exception("instance not read at its operation's end", extra=self._kept.names())
            return None
        replaced = found.instance and self.operation.uuid not in ("", found.instance.uuid)
        return None if replaced else found.instance
