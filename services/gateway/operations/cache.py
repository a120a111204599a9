"""The newest reports of operations, and the callers that wait for their end.

The database lags behind the bus, and with several gateways another one may be writing it. So this
cache holds what was reported to this gateway. A host's report counts for that host's operation
only: it cannot change an operation of another host with the same id.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.fleet.memory_budget import size_of
from services.gateway.fleet.view import FleetView
from services.gateway.operations.merge import merge_report
from services.gateway.operations.metrics import OperationMetrics
from services.gateway.operations.store import OperationFilter
from shared.contracts.operations import Operation

# In total: enough for what the database may lag behind.
MOST = 10_000
# Per host, in number and in bytes.
MOST_PER_HOST = 1000
MOST_BYTES_PER_HOST = 4 * 2**20


class _HostOperations:
    """The operations of one host, oldest report first."""

    def __init__(self) -> None:
        self.operations: OrderedDict[str, Operation] = OrderedDict()
        self.size = 0

    def put(self, operation: Operation) -> None:
        self.pop(operation.operation_id)
        self.operations[operation.operation_id] = operation
        self.size += size_of(operation)
        while len(self) > MOST_PER_HOST or (len(self) > 1 and self.size > MOST_BYTES_PER_HOST):
            self.pop(next(iter(self.operations)))

    def pop(self, operation_id: str) -> None:
        removed = self.operations.pop(operation_id, None)
        self.size -= size_of(removed) if removed else 0

    def __len__(self) -> int:
        return len(self.operations)


class RecentOperations:
    """Operations by host and id; when full, the host with the most loses its oldest."""

    def __init__(self) -> None:
        self._hosts: dict[str, _HostOperations] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Operation]:
        for of_host in self._hosts.values():
            yield from of_host.operations.values()

    def get(self, host: str, operation_id: str) -> Operation | None:
        """Return the operation of this host and id."""
        of_host = self._hosts.get(host)
        return of_host.operations.get(operation_id) if of_host else None

    def find(self, operation_id: str) -> Operation | None:
        """Return an operation of this id, whichever host reported it."""
        found = (of_host.operations.get(operation_id) for of_host in self._hosts.values())
        return next((operation for operation in found if operation), None)

    def put(self, operation: Operation) -> None:
        """Store an operation, replacing an older report."""
        of_host = self._hosts.setdefault(operation.host, _HostOperations())
        self._count -= len(of_host)
        of_host.put(operation)
        self._count += len(of_host)
        if self._count > MOST:
            self._drop_one()

    def pop(self, host: str, operation_id: str) -> None:
        """Drop an operation, if it is held."""
        of_host = self._hosts.get(host)
        if of_host is not None:
            self._count -= len(of_host)
            of_host.pop(operation_id)
            self._count += len(of_host)

    def _drop_one(self) -> None:
        host, of_host = max(self._hosts.items(), key=lambda item: len(item[1]))
        self.pop(host, next(iter(of_host.operations)))


class OperationCache:
    """The newest reports of recent operations.

    An outcome reaches a gateway up to three times: as an event, from the queue of outcomes, and in
    a page of its host's journal. It is merged once; a repeated report changes nothing.
    """

    def __init__(self, fleet: FleetView, metrics: OperationMetrics) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._recent = RecentOperations()
        self._waiters: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._in_flight: set[str] = set()
        self._listeners: dict[object, Callable[[Operation], None]] = {}

    def record(self, report: Operation) -> Operation:
        """Merge a report; return the operation as it is now.

        An outcome is applied to the fleet view before those who wait for it are woken.
        """
        previous = self._recent.get(report.host, report.operation_id)
        current = merge_report(previous, report) if previous else report
        if current == previous:
            return previous
        self._recent.put(current)
        if current.final:
            self._finish(current)
        for on_change in list(self._listeners.values()):
            on_change(current)
        return current

    def move(self, operation: Operation, moved: Operation) -> None:
        """Move a submission to another host; those who wait for its end keep waiting."""
        self._recent.pop(operation.host, operation.operation_id)
        for waiter in self._waiters.get(operation.operation_id, ()):
            if waiter.operation.host == operation.host:
                waiter.operation = moved
        self.record(moved)

    def latest(self, stored: Operation) -> Operation:
        """Return a stored operation, merged with its newest report."""
        reported = self._recent.get(stored.host, stored.operation_id)
        return merge_report(stored, reported) if reported else stored

    def find(self, operation_id: str) -> Operation | None:
        """Return a reported operation, whether or not it is stored yet."""
        return self._recent.find(operation_id)

    def merge_with_stored(
        self, stored: Sequence[Operation], filters: OperationFilter
    ) -> list[Operation]:
        """Return the matching operations, newest first: stored ones and those reported since."""
        # By host too: another host may report the same id.
        operations = {(each.host, each.operation_id): each for each in self._recent}
        for each in stored:
            operations[each.host, each.operation_id] = self.latest(each)
        matching = [operation for operation in operations.values() if filters.matches(operation)]
        return sorted(matching, key=lambda o: o.created_at, reverse=True)[: filters.limit]

    def watch(self, on_change: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `on_change` with each changed operation; return the function that unsubscribes."""
        ticket = object()
        self._listeners[ticket] = on_change

        def unsubscribe() -> None:
            self._listeners.pop(ticket, None)

        return unsubscribe

    async def wait(self, operation: Operation, timeout_s: float) -> Operation:
        """Return the operation once it has ended, or as it is after the time-out."""
        waiter = _Waiter(operation, asyncio.Event())
        self._waiters[operation.operation_id].add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.ended.wait()
        except TimeoutError:
            pass
        finally:
            self._remove_waiter(waiter)
        return self.latest(waiter.operation)

    @contextmanager
    def in_flight(self, operation_id: str) -> Iterator[None]:
        """Mark an operation as being submitted by this process, so that it is not reconciled."""
        self._in_flight.add(operation_id)
        self._metrics.start(operation_id)
        try:
            yield
        finally:
            self._in_flight.discard(operation_id)

    def is_in_flight(self, operation_id: str) -> bool:
        """Whether this process is submitting the operation now."""
        return operation_id in self._in_flight

    def _finish(self, operation: Operation) -> None:
        self._fleet.apply_outcome(operation)
        self._metrics.finish(operation)
        for waiter in self._waiters.get(operation.operation_id, ()):
            if waiter.operation.host == operation.host:
                waiter.ended.set()

    def _remove_waiter(self, waiter: _Waiter) -> None:
        waiters = self._waiters[waiter.operation.operation_id]
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[waiter.operation.operation_id]


@dataclass(eq=False, slots=True)
class _Waiter:
    """A caller that waits for the end of an operation, and its last known state."""

    operation: Operation
    ended: asyncio.Event
