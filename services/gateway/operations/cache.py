"""The newest reports of operations, and who waits for them.

The database lags behind the bus, and with several gateways another one may be writing it. What was
reported to this gateway it remembers here, and tells before the database does. What a host says of
an id counts for that host's operation only: it cannot end, or begin, an operation of another one.
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

# In all: enough for what one database may lag behind; older news are in it.
MOST = 10_000
# Of one host, in number and in bytes.
MOST_PER_HOST = 1000
MOST_BYTES_PER_HOST = 4 * 2**20


class _HostOperations:
    """The reports of one host, oldest first."""

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
        gone = self.operations.pop(operation_id, None)
        self.size -= size_of(gone) if gone else 0

    def __len__(self) -> int:
        return len(self.operations)


class RecentOperations:
    """Operations by host and id. The host with the most is the first to lose its oldest."""

    def __init__(self) -> None:
        self._hosts: dict[str, _HostOperations] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Operation]:
        for of_host in self._hosts.values():
            yield from of_host.operations.values()

    def get(self, host: str, operation_id: str) -> Operation | None:
        """Return what was put last under this host and id."""
        of_host = self._hosts.get(host)
        return of_host.operations.get(operation_id) if of_host else None

    def find(self, operation_id: str) -> Operation | None:
        """Return an operation of this id, whichever host told of it."""
        found = (of_host.operations.get(operation_id) for of_host in self._hosts.values())
        return next((operation for operation in found if operation), None)

    def put(self, operation: Operation) -> None:
        """Remember a report in place of an older one."""
        of_host = self._hosts.setdefault(operation.host, _HostOperations())
        self._count -= len(of_host)
        of_host.put(operation)
        self._count += len(of_host)
        if self._count > MOST:
            self._drop_one()

    def pop(self, host: str, operation_id: str) -> None:
        """Forget an operation, if it is there."""
        of_host = self._hosts.get(host)
        if of_host is not None:
            self._count -= len(of_host)
            of_host.pop(operation_id)
            self._count += len(of_host)

    def _drop_one(self) -> None:
        host, of_host = max(self._hosts.items(), key=lambda one: len(one[1]))
        self.pop(host, next(iter(of_host.operations)))


class OperationCache:
    """What was reported of recent operations.

    An outcome reaches a gateway up to three times: as an event, from the queue of outcomes, and in
    a page of its host's journal. It is merged once; what has been reported before changes nothing.
    """

    def __init__(self, fleet: FleetView, metrics: OperationMetrics) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._recent = RecentOperations()
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._in_flight: set[str] = set()
        self._watchers: dict[object, Callable[[Operation], None]] = {}

    def record(self, reported: Operation) -> Operation:
        """Remember a report; return what is true now.

        An outcome shows in the fleet view before those who wait for it hear of it.
        """
        known = self._recent.get(reported.host, reported.operation_id)
        current = merge_report(known, reported) if known else reported
        if current == known:
            return known
        self._recent.put(current)
        if current.final:
            self._end(current)
        for on_change in list(self._watchers.values()):
            on_change(current)
        return current

    def move(self, operation: Operation, moved: Operation) -> None:
        """Make a submission another host's; who waits for its end waits on."""
        self._recent.pop(operation.host, operation.operation_id)
        for waiter in self._waiting.get(operation.operation_id, ()):
            if waiter.operation.host == operation.host:
                waiter.operation = moved
        self.record(moved)

    def newest(self, stored: Operation) -> Operation:
        """Return what is true of an operation that the database holds."""
        reported = self._recent.get(stored.host, stored.operation_id)
        return merge_report(stored, reported) if reported else stored

    def find(self, operation_id: str) -> Operation | None:
        """Return a reported operation, whether or not the database holds it yet."""
        return self._recent.find(operation_id)

    def joined(self, stored: Sequence[Operation], wanted: OperationFilter) -> list[Operation]:
        """Return the operations that match, newest first: the stored ones, and those since."""
        # By host too: another host may claim an id, and is not believed.
        known = {(each.host, each.operation_id): each for each in self._recent}
        for each in stored:
            known[each.host, each.operation_id] = self.newest(each)
        matching = [operation for operation in known.values() if wanted.matches(operation)]
        return sorted(matching, key=lambda o: o.created_at, reverse=True)[: wanted.limit]

    def watch(self, on_change: Callable[[Operation], None]) -> Callable[[], None]:
        """Call `on_change` with each operation that changes; return what ends it."""
        ticket = object()
        self._watchers[ticket] = on_change

        def end() -> None:
            self._watchers.pop(ticket, None)

        return end

    async def wait(self, operation: Operation, timeout_s: float) -> Operation:
        """Return the operation when its end is reported, or as it stands after the time-out."""
        waiter = _Waiter(operation, asyncio.Event())
        self._waiting[operation.operation_id].add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.ended.wait()
        except TimeoutError:
            pass
        finally:
            self._stop_waiting(waiter)
        return self.newest(waiter.operation)

    @contextmanager
    def in_flight(self, operation_id: str) -> Iterator[None]:
        """Mark an operation as being submitted by this process: its fate is nobody else's yet."""
        self._in_flight.add(operation_id)
        self._metrics.begin(operation_id)
        try:
            yield
        finally:
            self._in_flight.discard(operation_id)

    def is_in_flight(self, operation_id: str) -> bool:
        """Whether this process is submitting the operation now."""
        return operation_id in self._in_flight

    def _end(self, operation: Operation) -> None:
        self._fleet.finish(operation)
        self._metrics.end(operation)
        for waiter in self._waiting.get(operation.operation_id, ()):
            if waiter.operation.host == operation.host:
                waiter.ended.set()

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
