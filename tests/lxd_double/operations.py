"""LXD's asynchronous operations: made, run, waited for, cancelled, forgotten."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.lxd_double.errors import Refused, not_found
from tests.lxd_double.events import Event, Events, now_text
from tests.lxd_double.faults import Faults

# Seconds for which LXD remembers an operation that has ended.
KEPT_S = 5.0

_DESCRIPTIONS = {
    "create": "Creating instance",
    "delete": "Deleting instance",
    "rename": "Renaming instance",
    "update": "Updating instance",
    "start": "Starting instance",
    "stop": "Stopping instance",
    "restart": "Restarting instance",
    "freeze": "Freezing instance",
    "unfreeze": "Unfreezing instance",
    "snapshot": "Snapshotting instance",
    "restore": "Restoring snapshot",
    "delete-snapshot": "Deleting snapshot",
    "exec": "Executing command",
    "console": "Showing console",
}
# Of these LXD also names the containers, under the path they had before there were instances.
_NAMES_CONTAINERS = {
    "create",
    "delete",
    "rename",
    "update",
    "snapshot",
    "restore",
    "delete-snapshot",
    "exec",
    "console",
}
_CODES = {
    "Pending": 105,
    "Running": 103,
    "Success": 200,
    "Failure": 400,
}


@dataclass(eq=False, slots=True)
class Operation:
    """One operation; `status` is LXD's word for its state, `kind` the one for its class."""

    action: str
    instance: str
    project: str
    kind: str = "task"
    status: str = "Pending"
    err: str = ""
    progress: dict[str, object] | None = None
    operation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: str = field(default_factory=now_text)
    updated_at: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The operation's path."""
        return f"/1.0/operations/{self.operation_id}"

    def rendered(self) -> Event:
        """Return the operation as LXD's JSON."""
        return {
            "id": self.operation_id,
            "class": self.kind,
            "description": _DESCRIPTIONS[self.action],
            "created_at": self.created_at,
            "updated_at": self.updated_at or self.created_at,
            "status": self.status,
            "status_code": _CODES[self.status],
            "resources": self._resources(),
            "metadata": self.progress,
            "may_cancel": False,
            "err": self.err,
            "location": "none",
        }

    def _resources(self) -> dict[str, list[str]]:
        resources = {"instances": [f"/1.0/instances/{self.instance}"]}
        if self.action in _NAMES_CONTAINERS:
            resources["containers"] = [f"/1.0/containers/{self.instance}"]
        return resources


Work = Callable[[Operation], Awaitable[None]]


class Operations:
    """The operations of one project; any of all that the daemon remembers is found by its id."""

    def __init__(
        self, events: Events, faults: Faults, project: str, known: dict[str, Operation]
    ) -> None:
        self._events = events
        self._faults = faults
        self._project = project
        self._known = known

    def start(self, action: str, instance: str, work: Work, kind: str = "task") -> Operation:
        """Begin to work; what the work refuses makes the operation fail."""
        operation = Operation(action, instance, self._project, kind)
        self._known[operation.operation_id] = operation
        self._tell(operation)
        operation.status = "Running"
        self._tell(operation)
        operation.task = asyncio.get_running_loop().create_task(self._carry_out(operation, work))
        return operation

    def progress(self, operation: Operation, progress: dict[str, object]) -> None:
        """Tell how far an operation is."""
        operation.progress = progress
        operation.updated_at = now_text()
        self._tell(operation)

    def get(self, operation_id: str) -> Operation:
        """Return an operation; refuse one that never was or is forgotten."""
        operation = self._known.get(operation_id)
        if operation is None:
            raise not_found("Operation")
        return operation

    def by_status(self) -> dict[str, list[Operation]]:
        """Return all operations under their status in lower case, as LXD lists them."""
        listed: dict[str, list[Operation]] = {}
        mine = [each for each in self._known.values() if each.project == self._project]
        for operation in mine:
            listed.setdefault(operation.status.lower(), []).append(operation)
        return listed

    async def wait(self, operation_id: str, timeout_s: float) -> Operation:
        """Return an operation when it has ended or the time is over; below zero: no limit."""
        operation = self.get(operation_id)
        with suppress(TimeoutError):
            await asyncio.wait_for(operation.ended.wait(), timeout_s if timeout_s >= 0 else None)
        return operation

    def cancel(self, operation_id: str) -> None:
        """Refuse to stop an operation, as LXD does with each of those that the double has."""
        operation = self.get(operation_id)
        if operation.status != "Running":
            raise Refused("Only running operations can be cancelled")
        raise Refused("This operation can't be cancelled")

    def forget_all(self) -> None:
        """Drop every operation with its work, as a daemon does that is killed."""
        for operation in self._known.values():
            if operation.task is not None:
                operation.task.cancel()
        self._known.clear()

    async def _carry_out(self, operation: Operation, work: Work) -> None:
        try:
            await self._fail_or_work(operation, work)
        except Refused as refused:
            self._end(operation, "Failure", refused.text)
        else:
            self._end(operation, "Success")

    async def _fail_or_work(self, operation: Operation, work: Work) -> None:
        failure = self._faults.failures.get(operation.action)
        if failure is None:
            await work(operation)
        else:
            await asyncio.sleep(self._faults.duration_s.get(operation.action, 0))
            raise Refused(failure)

    def _end(self, operation: Operation, status: str, err: str = "") -> None:
        operation.status = status
        operation.err = err
        self._tell(operation)
        operation.ended.set()
        asyncio.get_running_loop().call_later(KEPT_S, self._known.pop, operation.operation_id, None)

    def _tell(self, operation: Operation) -> None:
        self._events.emit("operation", operation.rendered())
