"""How reports are sent: within the bounds of their contract, only if they changed, and again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec.structs import replace

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.omissions import Omission, Omit
from services.lxd_worker.protocols import CallLater, Publish, Signal
from shared.contracts.errors import FleetError
from shared.contracts.events import NAMES, Event, HostDescribed, ImageServersRead
from shared.contracts.sanitizer import Unfit, fit_message
from shared.platform.run.backoff import Backoff

R = TypeVar("R", HostDescribed, ImageServersRead)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What every report needs; `epoch` is that of this run of the worker."""

    epoch: int
    publish: Publish
    clock: WorkerClock
    omit: Omit
    later: CallLater


@dataclass(frozen=True, slots=True)
class BoundedPublisher:
    """Sends events within the bounds of their contract, as `Publish`; see `fit_message`.

    An event that cannot be made to fit is not sent.
    """

    publish: Publish
    omit: Omit

    def __call__(self, event: Event) -> None:
        """Send an event; errors as `Publish`."""
        name = NAMES[type(event)]
        try:
            fitting, left_out = fit_message(event)
        except Unfit as exc:
            self.omit(Omission.MESSAGE, name, str(exc))
            return
        if left_out:
            self.omit(Omission.FIELDS, name, ", ".join(left_out))
        self.publish(fitting)


@dataclass(slots=True)
class ChangePublisher(Generic[R]):
    """Sends a report when it was requested, or differs from the one sent last.

    `signal` wakes whoever calls `publish_if_changed`.
    """

    context: ReportContext
    signal: Signal
    last: R | None = None
    _requested: bool = False

    def request(self) -> None:
        """Have it sent soon, whether or not it has changed."""
        self._requested = True
        self.signal()

    def publish_if_changed(self, report: R) -> None:
        """Send a report, whose time is set now, if need be; errors as `Publish`."""
        if self._requested or report != self.last:
            self.context.publish(replace(report, at=self.context.clock.now()))
            self._requested, self.last = False, report


@dataclass(slots=True)
class FailureLog:
    """Logs why something cannot be sent: each reason once, until it was sent again."""

    log: logging.Logger
    message: str
    _logged: set[str] = field(default_factory=set)

    def failed(self, error: FleetError) -> None:
        """Log an error, unless it was logged since the last success."""
        reason = str(error)
        if reason not in self._logged:
            self._logged.add(reason)
            self.log.warning(self.message, extra={"error": reason})

    def succeeded(self) -> None:
        """Log every reason again."""
        self._logged.clear()


@dataclass(slots=True)
class RetryTimer:
    """Calls `retry` some time after a failure, once for all failures until then."""

    later: CallLater
    retry: Callable[[], None]
    _backoff: Backoff = field(default_factory=Backoff)
    _waits: bool = False

    def failed(self) -> None:
        """Have it retried, each time after a longer while."""
        if not self._waits:
            self._waits = True
            self.later(self._backoff.next_s(), self._retry)

    def succeeded(self) -> None:
        """Begin with a short while again after the next failure."""
        self._backoff.reset()

    def _retry(self) -> None:
        self._waits = False
        self.retry()
