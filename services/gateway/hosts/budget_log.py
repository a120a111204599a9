"""Logs hosts that exceed their memory budget, without a line for each message."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from services.gateway.fleet.host_state import Reaction
from services.gateway.fleet.memory_budget import LeftOut

log = logging.getLogger(__name__)

# Between two lines of one host, whose excess may change with every message.
PAUSE_S = 600.0


class BudgetLog:
    """Logs what is left out of each host: at once, and after a pause if it has changed."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged: dict[str, tuple[LeftOut, float]] = {}
        self._refused_at = -PAUSE_S

    def record(self, host: str, reaction: Reaction) -> None:
        """Log what a host's message left out, if that is due."""
        if reaction.refused:
            self._log_refused(host)
        elif reaction.left_out:
            self._log_left_out(host, reaction.left_out)

    def _log_left_out(self, host: str, left_out: LeftOut) -> None:
        before, logged_at = self._logged.get(host, (None, -PAUSE_S))
        if left_out == before or self._monotonic() - logged_at < PAUSE_S:
            return
        self._logged[host] = left_out, self._monotonic()
        log.warning(
            "host budget exceeded",
            extra={"host": host, "left_out": msgspec.to_builtins(left_out)},
        )

    def _log_refused(self, host: str) -> None:
        if self._monotonic() - self._refused_at >= PAUSE_S:
            self._refused_at = self._monotonic()
            log.warning("too many hosts, event ignored", extra={"host": host})
