"""The newest news of operations, so many of each host, so that none crowds out another's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from services.gateway.fleet.memory_budget import size_of
from shared.contracts.operations import Operation

# In all: enough for what one database may lag behind; older news are in it.
MOST = 10_000
# Of one host, in number and in bytes.
MOST_OF_ONE = 1000
MOST_BYTES_OF_ONE = 4 * 2**20


class _OfHost:
    """The news of one host, oldest first."""

    def __init__(self) -> None:
        self.operations: OrderedDict[str, Operation] = OrderedDict()
        self.size = 0

    def put(self, operation: Operation) -> None:
        self.pop(operation.operation_id)
        self.operations[operation.operation_id] = operation
        self.size += size_of(operation)
        while len(self) > MOST_OF_ONE or (len(self) > 1 and self.size > MOST_BYTES_OF_ONE):
            self.pop(next(iter(self.operations)))

    def pop(self, operation_id: str) -> None:
        gone = self.operations.pop(operation_id, None)
        self.size -= size_of(gone) if gone else 0

    def __len__(self) -> int:
        return len(self.operations)


class RecentOperations:
    """Operations by host and id. The host with the most is the first to lose its oldest."""

    def __init__(self) -> None:
        self._hosts: dict[str, _OfHost] = {}
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
        """Take news in place of older ones."""
        of_host = self._hosts.setdefault(operation.host, _OfHost())
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
