"""An operation as the journal keeps it, and what carrying it out needs at hand."""

from __future__ import annotations

from dataclasses import dataclass

from services.lxd_worker.creation.admission import Secrets
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.ports import Change, Journal, Lxd, Signal, WorkerClock
from shared.contracts.operations import Operation


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What carrying out needs at hand; `epoch` is that of this worker's readings.

    `secrets` are kept here, by the operation's id, until LXD has them.
    """

    host: str
    epoch: int
    journal: Journal
    lxd: Lxd
    clock: WorkerClock
    changed: Signal
    secrets: Secrets


class OperationRecord:
    """One operation; each change is in the journal before anything else goes on."""

    def __init__(self, tools: RunnerContext, entry: JournalEntry) -> None:
        self._tools = tools
        self.entry = entry

    @property
    def operation(self) -> Operation:
        """The operation as journalled last."""
        return self.entry.operation

    def advance(self, change: Change) -> None:
        """Journal a change and have it reported."""
        before = self.entry
        self.note(change)
        if self.entry != before:
            self._tools.changed()

    def note(self, change: Change) -> None:
        """Journal a change that means nothing to others."""
        self.entry = self._tools.journal.advance(self.operation.operation_id, change)

    def names(self, **more: object) -> dict[str, object]:
        """Return what a log line says of the operation."""
        return {
            "operation": self.operation.operation_id,
            "instance": self.operation.instance,
            "kind": self.operation.kind.value,
            **more,
        }
