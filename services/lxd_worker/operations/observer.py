"""What LXD shows of the instance that an operation is about, whatever that is called by now."""

from __future__ import annotations

import logging

from services.lxd_worker.instances.observation import Observation, is_same_instance
from services.lxd_worker.operations.record import OperationContext, OperationRecord
from services.lxd_worker.protocols import ObservedInstance
from services.lxd_worker.transitions.next_step import (
    changes_config,
    is_shown_by_status,
    shows_in_snapshots,
)
from services.lxd_worker.transitions.rebuild import root_in_place
from services.lxd_worker.transitions.steps import RootSwap, Situation, Step
from shared.contracts.errors import FleetError, LxdUnavailable
from shared.contracts.instances import Instance

log = logging.getLogger(__name__)

_UNREAD = "instance not read at its operation's end"


class OperationObserver:
    """Observes the instance of one operation."""

    def __init__(self, context: OperationContext, record: OperationRecord) -> None:
        self._lxd = context.lxd
        self._reports = context.reports
        self._record = record
        # The instance as it was read for the situation that was returned last.
        self._reported: ObservedInstance | None = None

    def expect(self, step: Step) -> None:
        """Expect the end of a step: what LXD tells of it then is answered by `situation`."""
        self._reported = None
        if self._is_read_whole:
            operation = self._record.operation
            self._reports.expect_reading(operation.project, operation.instance, step)

    def situation(self, error: FleetError | None, *, with_init: bool = False) -> Situation:
        """Return the situation of the operation; `error` is why the last step failed.

        Where the status shows enough the process is not observed, unless `with_init`.
        """
        self._reported = None
        entry, operation = self._record.entry, self._record.operation
        swap = self._roots()
        with_init = with_init or error is not None
        found = root_in_place(swap) if swap else self._find(with_init=with_init)
        now = found if found and self._is_same(found) else None
        return Situation(
            name=operation.instance,
            arguments=operation.arguments,
            now=now,
            replaced=found is not now,
            taken=entry.taken,
            error=error,
            before=entry.before,
            first=entry.first,
            cause=entry.cause,
            swap=swap,
        )

    def names(self) -> tuple[str, ...]:
        """Return the names under which LXD may know the instance, or a root of it."""
        swap = self._record.entry.swap
        roots = (swap.beside, swap.trash) if swap else ()
        return (self._record.operation.instance, *roots)

    def instance(self) -> Instance | None:
        """Return the instance as it is reported to the fleet, None if it cannot be read.

        Whatever is wrong with that must neither delay the operation's end nor change it.
        """
        operation = self._record.operation
        try:
            reported = self._reported or self._lxd.instance(operation.project, operation.instance)
        except LxdUnavailable:
            return None
        except Exception:
            log.exception(_UNREAD, extra=self._record.names())
            return None
        found = reported.instance
        is_replaced = found and operation.uuid not in ("", found.uuid)
        return None if is_replaced else found

    def _roots(self) -> RootSwap | None:
        """Observe both roots of a rebuild or a revert, whatever they are called now."""
        plan, operation = self._record.entry.swap, self._record.operation
        if plan is None:
            return None
        each = (self._lxd.observe(operation.project, name) for name in self.names())
        roots = [root for root in each if root and self._is_same(root)]
        return RootSwap(
            name=operation.instance,
            beside=plan.beside,
            trash=plan.trash,
            old=next((root for root in roots if root.root != plan.incoming), None),
            new=next((root for root in roots if root.root == plan.incoming), None),
        )

    @property
    def _is_read_whole(self) -> bool:
        """Whether one reading at the end of a step is enough for the operation and the fleet."""
        return not (changes_config(self._record.operation.kind) or self._record.entry.swap)

    def _find(self, *, with_init: bool) -> Observation | None:
        """Observe the instance; once a rename was begun it may have either name."""
        operation, taken = self._record.operation, self._record.entry.taken
        if shows_in_snapshots(operation.kind):
            return self._lxd.observe_snapshots(operation.project, operation.instance)
        if not self._is_read_whole:
            if Step.RENAME in taken:
                found = self._lxd.observe_fully(operation.project, operation.arguments.new_name)
                if found and self._is_same(found):
                    return found
            return self._lxd.observe_fully(operation.project, operation.instance)
        found = self._read(is_done=not with_init) if taken else self._observe_briefly()
        if found is None or (not with_init and is_shown_by_status(operation.kind, found)):
            return found
        return self._with_init(found)

    def _with_init(self, found: Observation) -> Observation | None:
        whole = self._lxd.observe_init(found, self._record.operation.project)
        if whole is None or whole.status != found.status:
            self._reported = None
        return whole

    def _observe_briefly(self) -> Observation | None:
        operation = self._record.operation
        return self._lxd.observe_briefly(operation.project, operation.instance)

    def _read(self, *, is_done: bool) -> Observation | None:
        """Observe the instance as it is reported to the fleet, whatever is wrong with reporting."""
        operation = self._record.operation
        try:
            reading = self._reports.read(operation.project, operation.instance, is_done=is_done)
        except FleetError:
            raise
        except Exception:
            log.exception(_UNREAD, extra=self._record.names())
            return self._observe_briefly()
        self._reported = reading.reported
        return reading.observation

    def _is_same(self, observed: Observation) -> bool:
        entry = self._record.entry
        return is_same_instance(observed, entry.operation.uuid, entry.before)
