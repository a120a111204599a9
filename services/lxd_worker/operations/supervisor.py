"""Makes sure that every operation that holds its instance is being carried out.

An operation whose greenthread has died would hold its instance until the worker is restarted. So
the journal is checked now and then, and an operation that nobody works on is resumed from there, as
after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.runner import MOST_RETRY_S, RETRY_S, OperationRunner
from shared.contracts.errors import DatabaseUnavailable
from shared.contracts.operations import Operation
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OperationSupervisor:
    """Carries operations out, each once at a time.

    `spawn` calls a function with an entry in a greenthread of its own; `ended` is called with every
    operation at its end. `held_back` are the ids of operations that somebody else starts later.
    """

    context: OperationContext
    spawn: Callable[[Callable[[JournalEntry], None], JournalEntry], object]
    ended: Callable[[Operation], None]
    held_back: Container[str]
    _running: set[str] = field(default_factory=set)
    _abandoned: set[str] = field(default_factory=set)

    def start(self, entry: JournalEntry) -> None:
        """Have an operation carried out, and then those that wait for its end."""
        operation_id = entry.operation.operation_id
        if operation_id not in self._running:
            self._running.add(operation_id)
            self.spawn(self._carry_out, entry)

    def resume_abandoned(self) -> None:
        """Resume operations that nobody has worked on at this check and the one before.

        Between its acceptance and its start an operation looks abandoned for a moment, too. Raises
        DatabaseUnavailable.
        """
        running = set(self._running)
        unfinished = self.context.journal.unfinished()
        entries = {entry.operation.operation_id: entry for entry in unfinished}
        abandoned = {one for one in entries.keys() - running if not self._is_attended(one)}
        for operation_id in abandoned & self._abandoned:
            log.error("operation was abandoned", extra={"operation": operation_id})
            self.start(entries[operation_id])
        self._abandoned = abandoned - self._running

    def _is_attended(self, operation_id: str) -> bool:
        return operation_id in self._running or operation_id in self.held_back

    def _carry_out(self, entry: JournalEntry) -> None:
        following = None
        try:
            operation = OperationRunner(self.context, entry).run()
            following = self._follower(operation)
            self.ended(operation)
        except Exception:
            names = {"operation": entry.operation.operation_id}
            log.exception("operation's thread died", extra=names)
        finally:
            self._running.discard(entry.operation.operation_id)
            if following:
                self.start(following)

    def _follower(self, ended: Operation) -> JournalEntry | None:
        """Return the next of those that have waited for the end of an operation."""
        backoff = Backoff(RETRY_S, MOST_RETRY_S)
        while True:
            try:
                return self.context.journal.follower(ended)
            except DatabaseUnavailable:
                self.context.clock.sleep(backoff.next_s())
