"""The runs of snapshot policies that a host has reported last, for those who follow them.

The history is the snapshots service's. Each host has as much room as any other.
"""

from __future__ import annotations

from services.gateway.fleet.memory_budget import MemoryUse, size_of
from shared.contracts.policies import PolicyRun

# Of one host.
MOST_RUNS = 20


class RecentRuns:
    """A host's runs that changed last, at most `MOST_RUNS`, within its memory budget."""

    def __init__(self, memory: MemoryUse) -> None:
        self._memory = memory
        # The one that changed last comes last.
        self._runs: dict[str, tuple[PolicyRun, int]] = {}

    def ids(self) -> list[str]:
        """Return the ids of the runs, the one that changed last first."""
        return list(reversed(self._runs))

    def find(self, run_id: str) -> PolicyRun | None:
        """Return a run."""
        found = self._runs.get(run_id)
        return found[0] if found else None

    def record(self, run: PolicyRun) -> set[str]:
        """Hold a run; return the ids of the runs that are other than before, or gone."""
        known = self.find(run.operation_id)
        if known is not None and known.sequence >= run.sequence:
            return set()
        changed, size = {run.operation_id}, size_of(run)
        self._drop(run.operation_id)
        while self._runs and (len(self._runs) >= MOST_RUNS or not self._memory.fits(size)):
            oldest = next(iter(self._runs))
            self._drop(oldest)
            changed.add(oldest)
        if self._memory.fits(size):
            self._memory.add(size)
            self._runs[run.operation_id] = run, size
        return changed

    def clear(self) -> set[str]:
        """Drop all runs; return their ids."""
        gone = set(self._runs)
        for run_id in gone:
            self._drop(run_id)
        return gone

    def _drop(self, run_id: str) -> None:
        _, size = self._runs.pop(run_id, (None, 0))
        self._memory.add(-size)
