"""Says in the log that a host has told more than its budget, without a line for each message."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from services.gateway.fleet.host_state import Reaction
from services.gateway.fleet.memory_budget import LeftOut

log = logging.getLogger(__name__)

# Between two lines of one host; it may change what is left out with every message.
PAUSE_S = 600.0


class BudgetLog:
    """Logs what is left out of each host: at once, and when it has changed since."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged: dict[str, tuple[LeftOut, float]] = {}
        self._refused_at = -PAUSE_S

    def note(self, host: str, reaction: Reaction) -> None:
        """Take what a host's message came to."""
        if reaction.refused:
            self._note_refused(host)
        elif reaction.left_out:
            self._note_left_out(host, reaction.left_out)

    def _note_left_out(self, host: str, left_out: LeftOut) -> None:
        before, logged_at = self._logged.get(host, (None, -PAUSE_S))
        if left_out == before or self._monotonic() - logged_at < PAUSE_S:
            return
        self._logged[host] = left_out, self._monotonic()
        log.warning(
            "more than the host's budget",
            extra={"host": host, "left_out": msgspec.to_builtins(left_out)},
        )

    def _note_refused(self, host: str) -> None:
        if self._monotonic() - self._refused_at >= PAUSE_S:
            self._refused_at = self._monotonic()
            log.warning("too many hosts; one is not heard", extra={"host": host})
