"""The newest news of operations, and who waits for them.

The database lags behind the bus, and with several gateways another one may be writing it. What this
gateway has heard itself it remembers here, and tells before the database does. What a host says of
an id counts for that host's operation only: it cannot end, or begin, an operation of another one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.fleet.view import FleetView
from services.gateway.operations.merge import learned
from services.gateway.operations.metrics import OperationMetrics
from services.gateway.operations.recent import RecentOperations
from shared.contracts.operations import Operation


class OperationCache:
    """What is known of recent operations."""

    def __init__(self, fleet: FleetView, tally: OperationMetrics) -> None:
        self._fleet = fleet
        self._tally = tally
        self._recent = RecentOperations()
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._in_flight: set[str] = set()
        self._watchers: dict[object, Callable[[Operation], None]] = {}

    def learn(self, reported: Operation) -> Operation:
        """Take news; return what is true now.

        An outcome shows in the fleet view before those who wait for it hear of it.
        """
        known = self._recent.get(reported.host, reported.operation_id)
        current = learned(known, reported) if known else reported
        self._recent.put(current)
        if current.final and not (known and known.final):
            self._end(current)
        if current is not known:
            self._tell(current)
        return current

    def move(self, operation: Operation, moved: Operation) -> None:
        """Take it that a submission is another host's now; who waits for its end waits on."""
        self._recent.pop(operation.host, operation.operation_id)
        for waiter in self._waiting.get(operation.operation_id, ()):
            if waiter.operation.host == operation.host:
                waiter.operation = moved
        self.learn(moved)

    def freshest(self, stored: Operation) -> Operation:
        """Return what is true of an operation the database holds."""
        news = self._recent.get(stored.host, stored.operation_id)
        return learned(stored, news) if news else stored

    def heard_of(self, operation_id: str) -> Operation | None:
        """Return news of an operation that the database does not hold yet, if there are any."""
        return self._recent.find(operation_id)

    def all_recent(self) -> list[Operation]:
        """Return all that is remembered."""
        return list(self._recent)

    def watch(self, learnt: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `learnt` with what is true of each operation after news; return what ends it."""
        ticket = object()
        self._watchers[ticket] = learnt

        def end() -> None:
            self._watchers.pop(ticket, None)

        return end

    async def wait(self, operation: Operation, timeout_s: float) -> Operation:
        """Return the operation when news of its end come, or as it stands after the time-out."""
        waiter = _Waiter(operation, asyncio.Event())
        self._waiting[operation.operation_id].add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.ended.wait()
        except TimeoutError:
            pass
        finally:
            self._stop_waiting(waiter)
        return self.freshest(waiter.operation)

    @contextmanager
    def in_flight(self, operation_id: str) -> Iterator[None]:
        """Mark an operation as being submitted by this process: its fate is nobody else's yet."""
        self._in_flight.add(operation_id)
        self._tally.begin(operation_id)
        try:
            yield
        finally:
            self._in_flight.discard(operation_id)

    def is_in_flight(self, operation_id: str) -> bool:
        """Whether this process is submitting the operation now."""
        return operation_id in self._in_flight

    def _end(self, operation: Operation) -> None:
        self._fleet.finish(operation)
        self._tally.end(operation)
        for waiter in self._waiting.get(operation.operation_id, ()):
            if waiter.operation.host == operation.host:
                waiter.ended.set()

    def _tell(self, operation: Operation) -> None:
        for learnt in list(self._watchers.values()):
            learnt(operation)

    def _stop_waiting(self, waiter: _Waiter) -> None:
        waiting = self._waiting[waiter.operation.operation_id]
        waiting.discard(waiter)
        if not waiting:
            del self._waiting[waiter.operation.operation_id]


@dataclass(eq=False, slots=True)
class _Waiter:
    """Somebody who waits for the end of an operation, and what was known of it then."""

    operation: Operation
    ended: asyncio.Event
