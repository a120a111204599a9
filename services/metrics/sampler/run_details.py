"""What LXD's metrics tell of each run, where nobody but LXD can measure it.

LXD makes them anew every few seconds only, and names instances, not their runs. Of a run that may
have begun since, they are not told: they may be those of the run before, or of a namesake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from services.metrics.sampler.instance_errors import LXD_METRICS, InstanceErrors
from services.metrics.sampler.ports import LxdQueries, Monotonic
from services.metrics.sampler.reading import Identity, InstanceReading, Run
from services.metrics.sampler.sanitize import Dropped
from services.metrics.sampler.ttl_cache import TtlCache
from services.metrics.sampler.usage import NO_DETAILS, Details

# How often they are asked for, which costs LXD half as much as all states, and for how long LXD
# itself remembers them.
METRICS_S = 10.0
LXD_REMEMBERS_S = 8.0

NOTHING_TOLD: Mapping[Identity, Details] = {}


class RunDetails:
    """Adds details to what LXD told of instances, while they are `wanted`."""

    def __init__(self, lxd: LxdQueries, clock: Monotonic, errors: InstanceErrors) -> None:
        self._lxd = lxd
        self._clock = clock
        self._errors = errors
        self._metrics = TtlCache(self._ask, clock, METRICS_S, NOTHING_TOLD)
        self._known_since_s: dict[Run, float] = {}
        self.wanted = False

    def added_to(self, told: InstanceReading) -> InstanceReading:
        """Return it with the details of its run; raise LxdUnavailable."""
        since_s = self._known_since_s.setdefault(told.run, self._clock())
        if not self.wanted:
            return told
        metrics = self._metrics.read()
        is_surely_its = self._metrics.read_at_s >= since_s + LXD_REMEMBERS_S
        return replace(
            told, details=metrics.get(told.identity, NO_DETAILS) if is_surely_its else NO_DETAILS
        )

    def _ask(self) -> Mapping[Identity, Details]:
        dropped = Dropped()
        metrics = self._lxd.details(dropped)
        self._errors.left_out(LXD_METRICS, dropped)
        return metrics

    def forget_others(self, running: Iterable[InstanceReading]) -> None:
        """Forget all runs but these."""
        runs = {each.run for each in running}
        self._known_since_s = {
            run: since_s for run, since_s in self._known_since_s.items() if run in runs
        }
