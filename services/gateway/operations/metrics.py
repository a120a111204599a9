"""How long operations took and how they ended: each counted once, where it was submitted.

Every gateway hears the outcome of every operation, after a restart of old ones too. Only those that
this process began are its own to count, so that the counts of all gateways add up.
"""

from __future__ import annotations

from collections.abc import Callable

from cachetools import FIFOCache

from shared.contracts.operations import Operation

# Takes an operation that has ended, and the seconds since it was begun.
Record = Callable[[Operation, float], None]

# An operation whose host never comes back never ends.
MOST_OPEN = 10_000


class OperationMetrics:
    """The operations that were begun here and have not ended."""

    def __init__(self, record: Record, monotonic: Callable[[], float]) -> None:
        self._record = record
        self._monotonic = monotonic
        self._begun: FIFOCache[str, float] = FIFOCache(MOST_OPEN)

    def begin(self, operation_id: str) -> None:
        """Start the clock; the oldest of too many is forgotten."""
        self._begun[operation_id] = self._monotonic()

    def end(self, operation: Operation) -> None:
        """Record the operation, if it was begun here."""
        begun = self._begun.pop(operation.operation_id, None)
        if begun is not None:
            self._record(operation, self._monotonic() - begun)
