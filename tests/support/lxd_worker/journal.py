"""A journal in memory; the suite of the real one holds it to the same promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, count
from typing import Any

from msgspec.structs import replace

from services.lxd_worker.journal.entry import JournalEntry, require_free
from services.lxd_worker.journal.protocol import MOST_PAGE_BYTES, Acceptance, Change
from shared.contracts.codec import encode
from shared.contracts.errors import (
    DatabaseUnavailable,
    HostBusy,
    OperationNotFound,
    OperationRefused,
)
from shared.contracts.operations import Operation
from tests.support.clock import FakeClock


def here(work: Callable[[], Any]) -> Any:
    """Run the journal's work in this thread: the locks of a test are no green ones."""
    return work()


class FakeJournal:
    """A journal in memory; while `broken` it cannot be written."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.broken = False
        self.written: list[JournalEntry] = []
        self._clock = clock or FakeClock()
        self._entries: dict[str, JournalEntry] = {}
        self._changed_at: dict[str, float] = {}
        self._tombstones: dict[str, float] = {}
        self._confirmed: set[str] = set()
        self._waiting: list[str] = []
        self._sequence = count(1)

    @property
    def length(self) -> int:
        return len(self._entries)

    def find(self, operation_id: str) -> JournalEntry | None:
        return self._entries.get(operation_id)

    def find_each(self, operation_ids: Sequence[str]) -> dict[str, JournalEntry]:
        return {each: self._entries[each] for each in operation_ids if each in self._entries}

    def accept(self, entry: JournalEntry, host: str, limit: int) -> Acceptance:
        operation = entry.operation
        if known := self.find(operation.operation_id):
            return Acceptance(known, fresh=False)
        if operation.operation_id in self._tombstones:
            raise OperationRefused(operation.operation_id)
        entry = entry.queue_behind(self.holder(operation.project, operation.instance))
        if new_name := operation.arguments.new_name:
            require_free(new_name, self.holder(operation.project, new_name))
        if sum(not one.operation.final for one in self._entries.values()) >= limit:
            raise HostBusy(host)
        written = self._write(entry)
        if entry.operation.waits_for:
            self._waiting.append(operation.operation_id)
        return Acceptance(written, fresh=True)

    def advance(self, operation_id: str, change: Change) -> JournalEntry:
        known = self.find(operation_id)
        if known is None:
            raise OperationNotFound(operation_id)
        changed = change(known)
        if changed == known:
            return known
        written = self._write(changed)
        if written.operation.final or written.operation.instance != known.operation.instance:
            self._let_next_hold(known.operation)
        return written

    def resolve(self, operation_id: str, at: float) -> JournalEntry | None:
        known = self.find(operation_id)
        if known is None:
            self._tombstones.setdefault(operation_id, at)
        return known

    def since(
        self, sequence: int, limit: int, most_bytes: int = MOST_PAGE_BYTES
    ) -> list[Operation]:
        later = [one for one in self._in_order() if one.sequence > sequence][:limit]
        sizes = (len(encode(self._entries[one.operation_id])) for one in later)
        before = accumulate(sizes, initial=0)
        return [one for one, size in zip(later, before, strict=False) if size < most_bytes]

    def unfinished(self) -> list[JournalEntry]:
        holding = [one for one in self._entries.values() if self._holds(one.operation)]
        return sorted(holding, key=lambda entry: entry.operation.accepted_at)

    def holder(self, project: str, instance: str) -> JournalEntry | None:
        held = (one for one in self.unfinished() if _is_of(one.operation, project, instance))
        return next(held, None)

    def follower(self, ended: Operation) -> JournalEntry | None:
        creation = ended.waits_for or ended.operation_id
        waited = (one for one in self.unfinished() if one.operation.waits_for == creation)
        return next(waited, None)

    def unconfirmed(self, limit: int) -> list[Operation]:
        return [one for one in self._in_order() if one.operation_id not in self._confirmed][:limit]

    def confirm(self, operation_id: str, sequence: int) -> None:
        if self._entries[operation_id].operation.sequence == sequence:
            self._confirmed.add(operation_id)

    def prune(self, before: float) -> int:
        old = [
            one
            for one, at in self._changed_at.items()
            if at < before and one in self._confirmed and self._entries[one].operation.final
        ]
        for operation_id in old:
            del self._entries[operation_id], self._changed_at[operation_id]
        self._tombstones = {one: at for one, at in self._tombstones.items() if at >= before}
        return len(old)

    def close(self) -> None:
        """Nothing to let go of."""

    def _in_order(self) -> list[Operation]:
        operations = [entry.operation for entry in self._entries.values()]
        return sorted(operations, key=lambda operation: operation.sequence)

    def _holds(self, operation: Operation) -> bool:
        return not operation.final and operation.operation_id not in self._waiting

    def _let_next_hold(self, held: Operation) -> None:
        if self.holder(held.project, held.instance):
            return
        for operation_id in self._waiting:
            operation = self._entries[operation_id].operation
            if not operation.final and _is_of(operation, held.project, held.instance):
                self._waiting.remove(operation_id)
                return

    def _write(self, entry: JournalEntry) -> JournalEntry:
        if self.broken:
            raise DatabaseUnavailable
        numbered = replace(entry.operation, sequence=next(self._sequence))
        written = replace(entry, operation=numbered)
        self._entries[numbered.operation_id] = written
        self._changed_at[numbered.operation_id] = self._clock.unix()
        self._confirmed.discard(numbered.operation_id)
        self.written.append(written)
        return written


def _is_of(operation: Operation, project: str, instance: str) -> bool:
    names = (operation.instance, operation.arguments.new_name)
    return operation.project == project and instance in names
