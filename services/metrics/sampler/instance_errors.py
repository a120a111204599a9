"""Errors while reading instances: counted each time, logged once per instance.

The log has the instance's project and name, which the guest does not choose; nothing that the guest
wrote is in a log or metric.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from services.metrics.sampler.reading import Identity
from services.metrics.sampler.sanitize import Dropped

_log = logging.getLogger(__name__)

# Errors that reading the values of one instance, however odd, may raise.
FAILURES = (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError)

# Pseudo-instances: the host's own network, and LXD's metrics.
HOST: Identity = ("", "")
LXD_METRICS: Identity = ("", "metrics")


class InstanceErrors:
    """Counts and logs errors by instance; `count_dropped` takes a reason and a number of values."""

    def __init__(
        self,
        count_dropped: Callable[[str, int], None] = lambda _, __: None,
        count_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._count_dropped = count_dropped
        self._count_failure = count_failure
        self._logged: set[Identity] = set()

    def left_out(self, identity: Identity, dropped: Dropped) -> None:
        """Record values of an instance that were dropped, if any."""
        if not dropped:
            return
        for reason, number in dropped.items():
            self._count_dropped(reason, number)
        self._log_once(identity, "values of an instance dropped", ", ".join(dropped))

    def failed(self, identity: Identity, error: Exception) -> None:
        """Record an instance that could not be read at all."""
        self._count_failure()
        self._log_once(identity, "an instance cannot be read", type(error).__name__)

    def forget_others(self, identities: Collection[Identity]) -> None:
        """Forget all instances but these."""
        self._logged &= {*identities, HOST, LXD_METRICS}

    def _log_once(self, identity: Identity, what: str, reason: str) -> None:
        if identity not in self._logged:
            self._logged.add(identity)
            project, name = identity
            _log.warning(what, extra={"project": project, "instance": name, "reason": reason})
