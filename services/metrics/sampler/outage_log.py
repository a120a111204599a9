"""Logging once that something is away, and once that it is back."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class OutageLog:
    """Logs when something goes away and when it is back, once each."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.available = True

    def note(self, failure: Exception | None) -> None:
        """Take in how the last use of it went."""
        if failure is None and not self.available:
            _log.info("%s is back", self._what)
        elif failure is not None and self.available:
            reason = str(failure.__cause__ or failure)
            _log.warning("%s is away", self._what, extra={"reason": reason})
        self.available = failure is None
