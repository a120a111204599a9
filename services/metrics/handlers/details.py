"""What LXD's metrics tell of each run, where nobody but LXD can measure it.

LXD makes them anew every few seconds only, and names instances, not their runs. Of a run that may
have begun since, they are not told: they may be those of the run before, or of a namesake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from services.metrics.domain.reading import Identity, InstanceReading, Run
from services.metrics.domain.sanitize import Dropped
from services.metrics.domain.usage import NO_DETAILS, Details
from services.metrics.handlers.instance_problems import LXD_METRICS, InstanceProblems
from services.metrics.handlers.remembered import Remembered
from services.metrics.ports import Lxd, Monotonic

# How often they are asked for, which costs LXD half as much as all states, and for how long LXD
# itself remembers them.
METRICS_S = 10.0
LXD_REMEMBERS_S = 8.0

NOTHING_TOLD: Mapping[Identity, Details] = {}


class RunDetails:
    """Adds details to what LXD told of instances, while they are `wanted`."""

    def __init__(self, lxd: Lxd, clock: Monotonic, problems: InstanceProblems) -> None:
        self._lxd = lxd
        self._clock = clock
        self._problems = problems
        self._metrics = Remembered(self._ask, clock, METRICS_S, NOTHING_TOLD)
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
        self._problems.left_out(LXD_METRICS, dropped)
        return metrics

    def forget_others(self, running: Iterable[InstanceReading]) -> None:
        """Forget all runs but these."""
        runs = {each.run for each in running}
        self._known_since_s = {
            run: since_s for run, since_s in self._known_since_s.items() if run in runs
        }
