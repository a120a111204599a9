"""Log once when something goes away, and once when it is back."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


class OutageLog:
    """Logs each outage once when it begins and once when it ends."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.available = True

    def note(self, failure: Exception | None) -> None:
        """Record the result of the latest use; `failure` is None if it worked."""
        if failure is None and not self.available:
            _log.info("%s is back", self._what)
        elif failure is not None and self.available:
            reason = str(failure.__cause__ or failure)
            _log.warning("%s is away", self._what, extra={"reason": reason})
        self.available = failure is None
