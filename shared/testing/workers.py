"""Workers as a gateway sees them: a journal that answers calls, and lines that break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.consoles import OpenConsole
from shared.contracts.errors import (
    FleetError,
    OperationNotFound,
    OperationRefused,
    OutcomeUnknown,
)
from shared.contracts.operations import Operation, State, Submission
from shared.contracts.worker_api import OperationPage, Snapshot, SnapshotList


class FakeWorkers:
    """Implements `worker_api.Call` for all hosts at once, with one journal.

    `refusal` is raised instead of taking a submission, `refusals` by single hosts.
    `loses_answers`: calls are carried out and their answers lost. `hold` makes submissions wait.
    `called` lists (host, method). `snapshots` are those of any instance.
    """

    def __init__(self) -> None:
        self.journal: dict[str, Operation] = {}
        self.tombstones: set[str] = set()
        self.submissions: list[Submission] = []
        self.consoles: list[OpenConsole] = []
        self.called: list[tuple[str, str]] = []
        self.snapshots: list[Snapshot] = []
        self.refusal: FleetError | None = None
        self.refusals: dict[str, FleetError] = {}
        self.unreachable: dict[str, FleetError] = {}
        self.loses_answers = False
        self.hold: asyncio.Event | None = None
        self._sequence = 0

    async def __call__(self, host: str, method: str, args: list[object]) -> object:
        self.called.append((host, method))
        if host in self.unreachable:
            raise self.unreachable[host]
        if method == "submit" and self.hold:
            await self.hold.wait()
        answer = self._methods()[method](host, *args)
        if self.loses_answers:
            raise OutcomeUnknown(host)
        return answer

    def report(self, operation: Operation) -> Operation:
        """Journal a change of an operation, and return it as it would be published."""
        self._sequence += 1
        journalled = replace(operation, sequence=self._sequence)
        self.journal[operation.operation_id] = journalled
        return journalled

    def finish(self, operation_id: str, **more: object) -> Operation:
        """Journal the end of an operation."""
        return self.report(replace(self.journal[operation_id], state=State.DONE, **more))

    def _methods(self) -> dict[str, Callable[..., object]]:
        return {
            "submit": self._submit,
            "open_console": self._open_console,
            "resolve": self._resolve,
            "cancel": self._cancel,
            "operations_since": self._operations_since,
            "publish_inventory": lambda host: None,
            "snapshots": lambda host, *_: to_wire(SnapshotList(snapshots=self.snapshots)),
        }

    def _submit(self, host: str, wired: object) -> object:
        if refusal := self.refusal or self.refusals.get(host):
            raise refusal
        submission = from_wire(Submission, wired)
        if submission.operation_id in self.tombstones:
            raise OperationRefused(submission.operation_id)
        self.submissions.append(submission)
        if submission.operation_id not in self.journal:
            self.report(_accepted(submission))
        return to_wire(self.journal[submission.operation_id])

    def _open_console(self, host: str, wired: object) -> None:
        self.consoles.append(from_wire(OpenConsole, wired))

    def _resolve(self, host: str, operation_id: str) -> object:
        if operation_id in self.journal:
            return to_wire(self.journal[operation_id])
        self.tombstones.add(operation_id)
        return None

    def _cancel(self, host: str, operation_id: str) -> object:
        if operation_id not in self.journal:
            raise OperationNotFound(operation_id)
        return to_wire(self.report(replace(self.journal[operation_id], state=State.CANCELLING)))

    def _operations_since(self, host: str, sequence: int, limit: int) -> object:
        later = sorted(
            (o for o in self.journal.values() if o.sequence > sequence), key=lambda o: o.sequence
        )
        return to_wire(OperationPage(operations=later[:limit], more=len(later) > limit))


def _accepted(submission: Submission) -> Operation:
    return Operation(
        operation_id=submission.operation_id,
        host=submission.host,
        kind=submission.kind,
        instance=submission.instance,
        uuid=submission.uuid,
        principal=submission.principal,
        state=State.ACCEPTED,
        project=submission.project,
        arguments=submission.arguments,
        correlation_id=submission.correlation_id,
        created_at="2026-11-20T10:00:01Z",
    )
