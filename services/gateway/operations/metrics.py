"""Measures the duration and outcome of operations, each once, where it was submitted.

Every gateway receives the outcome of every operation, after a restart even of old ones. Each counts
only those that it submitted, so that the counts of all gateways add up.
"""

from __future__ import annotations

from collections.abc import Callable

from cachetools import FIFOCache

from shared.contracts.operations import Operation

# Called with an ended operation, and its duration in seconds.
Record = Callable[[Operation, float], None]

# Bounded, as an operation whose host never comes back never ends.
MOST_OPEN = 10_000


class OperationMetrics:
    """The operations that were submitted here and have not ended."""

    def __init__(self, record: Record, monotonic: Callable[[], float]) -> None:
        self._record = record
        self._monotonic = monotonic
        self._started_at: FIFOCache[str, float] = FIFOCache(MOST_OPEN)

    def start(self, operation_id: str) -> None:
        """Start measuring; the oldest of too many is dropped."""
        self._started_at[operation_id] = self._monotonic()

    def finish(self, operation: Operation) -> None:
        """Record an ended operation, if it was submitted here."""
        started_at = self._started_at.pop(operation.operation_id, None)
        if started_at is not None:
            self._record(operation, self._monotonic() - started_at)
