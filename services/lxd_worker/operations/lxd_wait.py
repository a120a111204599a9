"""Waiting for LXD: for as long as a request takes, since LXD goes on after the time-out."""

from __future__ import annotations

import logging

from services.lxd_worker.operations.record import OperationContext, OperationRecord
from services.lxd_worker.protocols import LxdOperation
from services.lxd_worker.transitions.steps import Step
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

# How long an operation waits for LXD to finish something else.
BUSY_S = 30.0
# LXD is asked again this often while it works, so that a lost connection is noticed.
WAIT_S = 30.0
# The same while it creates an instance, when it reports its progress.
PROGRESS_S = 1.0
_REPORTS_PROGRESS = (Step.CREATE.value, Step.BUILD.value)


class LxdWait:
    """Waits for the requests of one operation, whose time starts with this object."""

    def __init__(self, context: OperationContext, record: OperationRecord) -> None:
        self._lxd = context.lxd
        self._clock = context.clock
        self._record = record
        self._deadline = self._clock.monotonic() + record.entry.timeout_s
        self._busy_until = 0.0
        self._backoff = Backoff(first_s=0.2, most_s=2.0)

    def is_overdue(self) -> bool:
        """Whether the operation has used up its time."""
        return self._clock.monotonic() >= self._deadline

    def until_idle(self, project: str, name: str) -> bool:
        """Wait a while for what LXD does with an instance; return False if it is busy for too long.

        What LXD does by itself is no request that could be waited for, so it is polled as well.
        """
        now = self._clock.monotonic()
        self._busy_until = self._busy_until or min(now + BUSY_S, self._deadline)
        left_s = self._busy_until - now
        if left_s <= 0:
            return False
        for lxd_operation in self._lxd.running_operations(project, name)[:1]:
            self._lxd.wait(lxd_operation, min(left_s, WAIT_S))
        self._clock.sleep(min(left_s, self._backoff.next_s()))
        return True

    def until_ended(self, lxd_operation: str) -> LxdOperation | None:
        """Return how a request ended, be it after the time-out; None if LXD has forgotten it."""
        state = self._until_deadline(lxd_operation)
        if state is None or not state.running:
            return state
        self._record.publish(lambda entry: entry.mark_overdue())
        agreed = self._lxd.cancel(lxd_operation)
        log.warning("operation is overdue", extra=self._record.names(lxd_agreed_to_cancel=agreed))
        return self.for_ever(lxd_operation)

    def for_ever(self, lxd_operation: str) -> LxdOperation | None:
        """Return how a request ended, however long that takes; None if LXD has forgotten it."""
        while (state := self._poll(lxd_operation, WAIT_S)) and state.running:
            pass
        return state

    def _until_deadline(self, lxd_operation: str) -> LxdOperation | None:
        while True:
            left_s = max(0.0, self._deadline - self._clock.monotonic())
            state = self._poll(lxd_operation, left_s)
            if state is None or not state.running or self.is_overdue():
                return state

    def _poll(self, lxd_operation: str, left_s: float) -> LxdOperation | None:
        """Return the state of a request after a while; journal the progress that LXD reports."""
        reports = self._record.operation.step in _REPORTS_PROGRESS
        state = self._lxd.wait(lxd_operation, min(left_s, PROGRESS_S if reports else WAIT_S))
        if reports and state and state.progress is not None:
            percent = state.progress
            self._record.publish(lambda entry: entry.advance(percent))
        return state
