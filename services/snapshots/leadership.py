"""Which copy of the service leads: the one with the lease.

It goes on while it cannot renew the lease, until the lease may have been taken by another copy.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import eventlet
from eventlet.greenthread import GreenThread

from shared.contracts.errors import DatabaseUnavailable
from shared.platform.run.background_loop import run_forever

log = logging.getLogger(__name__)

RENEW_S = 2.0


class LeadershipLease(Protocol):
    """What is needed of `PlanLease`, see there; raises DatabaseUnavailable."""

    ttl_s: float

    def hold(self) -> bool:
        """Take or renew the lease; return whether it is ours."""

    def release(self) -> None:
        """Let another copy have it at once."""


class Leading(Protocol):
    """What the copy with the lease does."""

    def start(self) -> None:
        """Begin; raises DatabaseUnavailable."""

    def stop(self) -> None:
        """End."""

    def poke(self) -> None:
        """Look at once whether policies have changed."""


class Leadership:
    """Starts what `lead` builds whenever this copy has the lease, and stops it when it has not."""

    def __init__(
        self,
        lease: LeadershipLease,
        lead: Callable[[], Leading],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._lead = lead
        self._clock = clock
        self._held_until = float("-inf")
        self._loop: GreenThread | None = None
        self.leading: Leading | None = None

    @property
    def held(self) -> bool:
        """Whether no other copy can have the lease now."""
        return self._clock() < self._held_until

    def start(self) -> None:
        """Begin to compete for the lease."""
        self._loop = eventlet.spawn(run_forever, self.renew, RENEW_S)

    def stop(self) -> None:
        """End, and let another copy have the lease."""
        if self._loop is not None:
            self._loop.kill()
        self._stop_leading()
        try:
            self._lease.release()
        except DatabaseUnavailable:
            log.info("lease not released; it ends by itself")

    def poke(self) -> None:
        """Have policies looked at at once, if this copy leads."""
        if self.leading is not None:
            self.leading.poke()

    def renew(self) -> None:
        """Take or renew the lease, and begin or end to lead accordingly."""
        asked_at = self._clock()
        try:
            if self._lease.hold():
                self._held_until = asked_at + self._lease.ttl_s
            else:
                self._held_until = float("-inf")
        except DatabaseUnavailable:
            pass
        if not self.held:
            self._stop_leading()
        elif self.leading is None:
            self._begin()

    def _begin(self) -> None:
        leading = self._lead()
        leading.start()
        self.leading = leading
        log.info("this copy leads")

    def _stop_leading(self) -> None:
        if self.leading is not None:
            leading, self.leading = self.leading, None
            leading.stop()
            log.info("this copy leads no longer")
