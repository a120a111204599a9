"""One operation in the journal, and what carrying it out needs at hand."""

from __future__ import annotations

from dataclasses import dataclass

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.protocol import Change, Journal
from services.lxd_worker.operations.secrets import SecretsById
from services.lxd_worker.protocols import InstanceReports, Lxd, Signal
from shared.contracts.operations import Operation


@dataclass(frozen=True, slots=True)
class OperationContext:
    """What operations need; `epoch` is that of this run of the worker.

    `changed` signals that an operation is to be reported.
    """

    host: str
    epoch: int
    journal: Journal
    lxd: Lxd
    reports: InstanceReports
    clock: WorkerClock
    changed: Signal
    secrets: SecretsById


class OperationRecord:
    """An operation whose changes are in the journal before anything else happens."""

    def __init__(self, context: OperationContext, entry: JournalEntry) -> None:
        self._context = context
        self.entry = entry

    @property
    def operation(self) -> Operation:
        """The operation as it was journalled last."""
        return self.entry.operation

    def publish(self, change: Change) -> None:
        """Journal a change and have it reported."""
        before = self.entry
        self.write(change)
        if self.entry != before:
            self._context.changed()

    def write(self, change: Change) -> None:
        """Journal a change that means nothing to the fleet."""
        self.entry = self._context.journal.advance(self.operation.operation_id, change)

    def read(self) -> None:
        """Read it again: the journal may hold more than this object knows."""
        self.write(lambda entry: entry)

    def names(self, **more: object) -> dict[str, object]:
        """Return what a log line says of the operation."""
        return {
            "operation": self.operation.operation_id,
            "instance": self.operation.instance,
            "kind": self.operation.kind.value,
            **more,
        }
