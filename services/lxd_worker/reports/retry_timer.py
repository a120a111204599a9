"""Trying again what could not be read of LXD, after a while that grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.lxd_worker.ports import CallLater
from shared.platform.run.backoff import Backoff


@dataclass(slots=True)
class RetryTimer:
    """Calls `again` some time after a failure, once for all failures until then."""

    later: CallLater
    again: Callable[[], None]
    _backoff: Backoff = field(default_factory=Backoff)
    _waits: bool = False

    def failed(self) -> None:
        """Have it tried again."""
        if not self._waits:
            self._waits = True
            self.later(self._backoff.next_s(), self._try)

    def worked(self) -> None:
        """Take in that nothing is left to be tried again."""
        self._backoff.reset()

    def _try(self) -> None:
        self._waits = False
        self.again()
