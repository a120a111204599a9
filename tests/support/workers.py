"""Workers as a gateway sees them: a journal that answers calls, and lines that break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.consoles import OpenConsole
from shared.contracts.errors import (
    FleetError,
    OperationNotFound,
    OperationRefused,
    OutcomeUnknown,
    SnapshotNotFound,
    UnreadableMessage,
)
from shared.contracts.operations import (
    Failure,
    Operation,
    Secrets,
    State,
    Submission,
    command_fields,
)
from shared.contracts.policies import RunsStarted, Simulation, SnapshotMark
from shared.contracts.worker_api import InstanceLog, OperationPage, Snapshot, SnapshotList


class FakeWorkers:
    """Implements `worker_api.Call` for all hosts at once, with one journal.

    `refusal` is raised instead of taking a submission, `refusals` by single hosts.
    `loses_answers`: calls are carried out and their answers lost, `lost`: those of some methods.
    `hold` makes submissions wait, `holding` calls of some methods; those of `failing` raise.
    `answers` are a test's own, by method. `ends_with`: why what gets its secrets ends.
    `called` lists (host, method), `sent` every byte of a call with its host. `snapshots` are those
    of any instance, `marks` what was said of them. `damaged` are operations whose rows cannot be
    read. `secrets` are those that came, with the host that they came to.
    """

    def __init__(self) -> None:
        self.journal: dict[str, Operation] = {}
        self.tombstones: set[str] = set()
        self.damaged: set[str] = set()
        self.submissions: list[Submission] = []
        self.consoles: list[OpenConsole] = []
        self.called: list[tuple[str, str]] = []
        self.sent: list[tuple[str, bytes]] = []
        self.secrets: dict[str, tuple[str, Secrets]] = {}
        self.snapshots: list[Snapshot] = []
        self.marks: list[SnapshotMark] = []
        self.log = ""
        self.refusal: FleetError | None = None
        self.refusals: dict[str, FleetError] = {}
        self.unreachable: dict[str, FleetError] = {}
        self.loses_answers = False
        self.lost: set[str] = set()
        self.failing: dict[str, FleetError] = {}
        self.hold: asyncio.Event | None = None
        self.holding: dict[str, asyncio.Event] = {}
        self.answers: dict[str, Callable[..., object]] = {}
        self.ends_with: Failure | None = None
        self._sequence = 0

    async def __call__(self, host: str, method: str, args: list[object]) -> object:
        self.called.append((host, method))
        self.sent.append((host, msgspec.json.encode(args)))
        if host in self.unreachable:
            raise self.unreachable[host]
        if method in {"submit", "prepare"} and self.hold:
            await self.hold.wait()
        if method in self.holding:
            await self.holding[method].wait()
        if method in self.failing:
            raise self.failing[method]
        answer = (self._methods() | self.answers)[method](host, *args)
        if self.loses_answers or method in self.lost:
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
            "prepare": self._submit,
            "deliver_secrets": self._deliver_secrets,
            "open_console": self._open_console,
            "resolve": self._resolve,
            "cancel": self._cancel,
            "operations_since": self._operations_since,
            "publish_inventory": lambda host: None,
            "instance_log": lambda host, *_: to_wire(InstanceLog(text=self.log)),
            "run_policy": lambda host, wired: to_wire(RunsStarted(instances=1)),
            "simulate_policy": lambda host, wired: to_wire(Simulation(selected=0, instances=[])),
            "mark_snapshot": lambda host, wired: self._mark(wired),
            "snapshots": lambda host, *_: to_wire(SnapshotList(snapshots=self.snapshots)),
        }

    def _mark(self, wired: object) -> None:
        mark = from_wire(SnapshotMark, wired)
        if mark.snapshot not in {each.name for each in self.snapshots}:
            raise SnapshotNotFound(mark.name, mark.snapshot)
        self.marks.append(mark)

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

    def _deliver_secrets(self, host: str, operation_id: str, wired: object) -> object:
        if operation_id not in self.journal:
            raise OperationNotFound(operation_id)
        self.secrets.setdefault(operation_id, (host, from_wire(Secrets, wired)))
        if self.ends_with:
            ended = replace(
                self.journal[operation_id], state=State.CANCELLED, failure=self.ends_with
            )
            self.report(ended)
        return to_wire(self.journal[operation_id])

    def _open_console(self, host: str, wired: object) -> None:
        self.consoles.append(from_wire(OpenConsole, wired))

    def _resolve(self, host: str, operation_id: str) -> object:
        if operation_id in self.damaged:
            raise UnreadableMessage(operation_id)
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
        **command_fields(submission),
        operation_id=submission.operation_id,
        state=State.ACCEPTED,
        created_at="2026-11-20T10:00:01Z",
    )
