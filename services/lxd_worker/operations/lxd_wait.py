"""Waiting for what LXD has taken on: as long as it takes, for it goes on after the time-out."""

from __future__ import annotations

import logging
from functools import partial

from services.lxd_worker.journal import entry as entries
from services.lxd_worker.operations.record import OperationRecord, RunnerContext
from services.lxd_worker.ports import LxdOperation
from services.lxd_worker.transitions.steps import Step
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

# So long an operation waits for LXD to be done with something else.
BUSY_S = 30.0
# LXD is asked anew this often while it works, so that a lost connection does not go unnoticed.
WAIT_S = 30.0
# So often while it makes an instance, which tells how far it is.
PROGRESS_S = 1.0


class LxdWait:
    """Waits for the requests of one operation, whose time runs from the making of this object."""

    def __init__(self, tools: RunnerContext, kept: OperationRecord, timeout_s: float) -> None:
        self._tools = tools
        self._kept = kept
        self._deadline = tools.clock.monotonic() + timeout_s
        self._patient_until = 0.0
        self._backoff = Backoff(first_s=0.2, most_s=2.0)

    def time_is_over(self) -> bool:
        """Whether the operation has used up its time."""
        return self._tools.clock.monotonic() >= self._deadline

    def until_at_rest(self, project: str, name: str) -> bool:
        """Wait a while for what LXD does with an instance; False when it is busy for too long.

        What it does by itself is no request that could be waited for, so it is also asked anew.
        """
        now = self._tools.clock.monotonic()
        self._patient_until = self._patient_until or min(now + BUSY_S, self._deadline)
        left_s = self._patient_until - now
        if left_s <= 0:
            return False
        for lxd_operation in self._tools.lxd.under_way(project, name)[:1]:
            self._tools.lxd.wait(lxd_operation, min(left_s, WAIT_S))
        self._tools.clock.sleep(min(left_s, self._backoff.next_s()))
        return True

    def until_ended(self, lxd_operation: str) -> LxdOperation | None:
        """Return how LXD ended the request, None when it forgot; that may be after the time-out."""
        heard = self._in_time(lxd_operation)
        if heard is None or not heard.running:
            return heard
        self._kept.advance(entries.overdue)
        agreed = self._tools.lxd.cancel(lxd_operation)
        log.warning("operation is overdue", extra=self._kept.names(lxd_agreed_to_cancel=agreed))
        return self.for_ever(lxd_operation)

    def for_ever(self, lxd_operation: str) -> LxdOperation | None:
        """Return how LXD ended a request, None when it forgot."""
        while (heard := self._hear(lxd_operation, WAIT_S)) and heard.running:
            pass
        return heard

    def _in_time(self, lxd_operation: str) -> LxdOperation | None:
        while True:
            left_s = max(0.0, self._deadline - self._tools.clock.monotonic())
            heard = self._hear(lxd_operation, left_s)
            if heard is None or not heard.running or self.time_is_over():
                return heard

    def _hear(self, lxd_operation: str, left_s: float) -> LxdOperation | None:
        """Return how LXD is getting on after a while, and journal how far it says that it is."""
        tells = self._kept.operation.step in (Step.CREATE.value, Step.BUILD.value)
        most_s = PROGRESS_S if tells else WAIT_S
        heard = self._tools.lxd.wait(lxd_operation, min(left_s, most_s))
        if tells and heard and heard.progress is not None:
            self._kept.advance(partial(entries.progressed, percent=heard.progress))
        return heard
