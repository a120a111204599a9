"""Read LXD's metrics of each run, for instances that only LXD can measure.

LXD caches them for a few seconds, and identifies instances, not their runs. So for a run that may
have begun since, they are ignored: they may be those of an earlier run, or of a namesake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from services.metrics.sampler.instance_errors import LXD_METRICS, InstanceErrors
from services.metrics.sampler.kernel_counters import NO_DETAILS, Details
from services.metrics.sampler.protocols import LxdQueries, Monotonic
from services.metrics.sampler.reading import Identity, InstanceReading, Run
from services.metrics.sampler.sanitize import Dropped
from services.metrics.sampler.ttl_cache import TtlCache

# How often they are requested, which costs LXD half as much as all states, and for how long LXD
# caches them.
METRICS_S = 10.0
LXD_CACHE_S = 8.0

NO_METRICS: Mapping[Identity, Details] = {}


class RunDetails:
    """Adds details to LXD's readings of instances, while they are `needed`."""

    def __init__(self, lxd: LxdQueries, clock: Monotonic, errors: InstanceErrors) -> None:
        self._lxd = lxd
        self._clock = clock
        self._errors = errors
        self._metrics = TtlCache(self._request, clock, METRICS_S, NO_METRICS)
        self._first_read_s: dict[Run, float] = {}
        self.needed = False

    def add_to(self, instance: InstanceReading) -> InstanceReading:
        """Return a reading with the details of its run; raise LxdUnavailable."""
        since_s = self._first_read_s.setdefault(instance.run, self._clock())
        if not self.needed:
            return instance
        metrics = self._metrics.read()
        is_of_this_run = self._metrics.read_at_s >= since_s + LXD_CACHE_S
        details = metrics.get(instance.identity, NO_DETAILS) if is_of_this_run else NO_DETAILS
        return replace(instance, details=details)

    def _request(self) -> Mapping[Identity, Details]:
        dropped = Dropped()
        metrics = self._lxd.details(dropped)
        self._errors.left_out(LXD_METRICS, dropped)
        return metrics

    def forget_others(self, running: Iterable[InstanceReading]) -> None:
        """Forget all runs but these."""
        runs = {each.run for each in running}
        self._first_read_s = {
            run: since_s for run, since_s in self._first_read_s.items() if run in runs
        }
