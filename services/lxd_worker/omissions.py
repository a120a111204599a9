"""Counting and logging what the worker goes on without."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry, Counter

from services.lxd_worker.ports import Omission
from shared.contracts.bounds import LONGEST_WORD, clip

log = logging.getLogger(__name__)

# So many subjects are remembered as logged; with more, some are logged again.
MOST_LOGGED = 10_000
_LONGEST_REASON = 500


class Omissions:
    """Counts every omission, and logs it the first time for each subject; it is an `Omit`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "lxdfleet_worker_dropped",
            "What was left out because it could not be read, or is more than a message takes.",
            ("what",),
            registry=registry,
        )
        for what in Omission:
            self._count.labels(what)
        self._logged: set[tuple[Omission, str]] = set()

    def __call__(self, what: Omission, subject: str, reason: str) -> None:
        """See `ports.Omit`."""
        self._count.labels(what).inc()
        subject = clip(subject, LONGEST_WORD)
        if (what, subject) in self._logged:
            return
        if len(self._logged) >= MOST_LOGGED:
            self._logged.clear()
        self._logged.add((what, subject))
        extra = {"what": what.value, "of": subject, "reason": clip(reason, _LONGEST_REASON)}
        log.warning("left out", extra=extra)
