"""What the worker needs of its journal, in whatever database it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.lxd_worker.journal.entry import JournalEntry
from shared.contracts.operations import Operation

# Of the records on a page of operations. The last one may have some 2 MiB, and text beyond ASCII
# takes three times its bytes in an answer, of which the broker accepts 16 MiB.
MOST_PAGE_BYTES = 2 << 20

# Returns a new version of an entry, or the same one to leave it; may be called on any thread.
Change = Callable[[JournalEntry], JournalEntry]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An operation in the journal; `fresh` is False if it was there before."""

    entry: JournalEntry
    fresh: bool


class Journal(Protocol):
    """The worker's memory of operations; whatever a method has written survives a crash.

    Every change gets the next sequence number, which counts over all operations and is never
    reused. An unfinished operation holds its instance, unless it waits for the creation of it: when
    the holder ends, the instance goes to the operation that has waited longest. Every method raises
    DatabaseUnavailable.
    """

    @property
    def length(self) -> int:
        """The number of operations in it; known without asking the database."""

    def find(self, operation_id: str) -> JournalEntry | None:
        """Return the entry of an operation; None if there is none, or only a tombstone."""

    def find_each(self, operation_ids: Sequence[str]) -> dict[str, JournalEntry]:
        """Return the entries of those of many operations that `find` would return."""

    def accept(self, entry: JournalEntry, host: str, limit: int) -> Acceptance:
        """Accept an operation, once; the same id again returns the entry that is there already.

        Behind a creation of its instance it waits (`Operation.waits_for`). Raises
        OperationInProgress if another one holds the instance, OperationRefused for a tombstone, and
        HostBusy if `limit` operations are unfinished.
        """

    def advance(self, operation_id: str, change: Change) -> JournalEntry:
        """Change an entry atomically and return it as it is then; raises OperationNotFound."""

    def resolve(self, operation_id: str, at: float) -> JournalEntry | None:
        """Return an operation's entry, or leave a tombstone for its id for good and return None."""

    def since(
        self, sequence: int, limit: int, most_bytes: int = MOST_PAGE_BYTES
    ) -> list[Operation]:
        """Return the operations that changed after a sequence number, oldest change first.

        At most `limit` of them, and no more once their records have so many bytes.
        """

    def unfinished(self) -> list[JournalEntry]:
        """Return the operations that hold their instances, in the order of acceptance."""

    def holder(self, project: str, instance: str) -> JournalEntry | None:
        """Return the operation that holds an instance."""

    def follower(self, ended: Operation) -> JournalEntry | None:
        """Return the next of those that waited for the same creation, or for this one."""

    def unconfirmed(self, limit: int) -> list[Operation]:
        """Return operations whose last change the broker has not confirmed, oldest first."""

    def confirm(self, operation_id: str, sequence: int) -> None:
        """Record that the broker has this change; a later one stays unconfirmed."""

    def prune(self, before: float) -> int:
        """Delete what ended and was confirmed, and tombstones, before a Unix time.

        An operation is as old as its last change. Returns the number of operations deleted.
        """
