"""Errors in what is read of an instance: counted each time, logged once for each instance.

The log names the instance by its project and name, which are not the guest's to choose; what the
guest wrote stands in neither the log nor a metric.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from services.metrics.sampler.reading import Identity
from services.metrics.sampler.sanitize import Dropped

_log = logging.getLogger(__name__)

# What reading the words of one instance, however odd, can end with.
FAILURES = (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError)

# Stand for what is no instance: the host's own network, and LXD's metrics of all.
HOST: Identity = ("", "")
LXD_METRICS: Identity = ("", "metrics")


class InstanceErrors:
    """`count_dropped` takes a reason and how many values, `count_failure` an instance."""

    def __init__(
        self,
        count_dropped: Callable[[str, int], None] = lambda _, __: None,
        count_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._count_dropped = count_dropped
        self._count_failure = count_failure
        self._logged: set[Identity] = set()

    def left_out(self, identity: Identity, dropped: Dropped) -> None:
        """Take in that values of an instance were left out, if any were."""
        if not dropped:
            return
        for reason, number in dropped.items():
            self._count_dropped(reason, number)
        self._log_once(identity, "values of an instance are left out", ", ".join(dropped))

    def failed(self, identity: Identity, error: Exception) -> None:
        """Take in that an instance could not be read at all."""
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
