"""Sees to it that every operation that holds its instance has somebody who carries it out.

An operation whose greenthread has died would hold its instance until the worker is restarted. So
the journal is looked through now and then, and what nobody works on is taken up from there, as
after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.carry_out import carry_out, follower
from services.lxd_worker.operations.record import RunnerContext
from shared.contracts.operations import Operation

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OperationSupervisor:
    """Carries operations out, each once at a time.

    `spawn` calls a function with an entry in a greenthread of its own; `ended` takes in every
    operation at its end. `held_back` are the ids of those that somebody else has begun later.
    """

    tools: RunnerContext
    spawn: Callable[[Callable[[JournalEntry], None], JournalEntry], object]
    ended: Callable[[Operation], None]
    held_back: Container[str]
    _under_way: set[str] = field(default_factory=set)
    _abandoned: set[str] = field(default_factory=set)

    def begin(self, entry: JournalEntry) -> None:
        """Have an operation carried out, and then those that wait for its end."""
        operation_id = entry.operation.operation_id
        if operation_id not in self._under_way:
            self._under_way.add(operation_id)
            self.spawn(self._carry_out, entry)

    def take_up_abandoned(self) -> None:
        """Go on with what nobody has worked on at this look and the one before.

        Between its acceptance and its beginning an operation looks like that, too, for a moment.
        Raises DatabaseUnavailable.
        """
        busy = set(self._under_way)
        entries = {entry.operation.operation_id: entry for entry in self.tools.journal.unfinished()}
        abandoned = {one for one in entries.keys() - busy if not self._has_somebody(one)}
        for operation_id in abandoned & self._abandoned:
            log.error("operation was abandoned", extra={"operation": operation_id})
            self.begin(entries[operation_id])
        self._abandoned = abandoned - self._under_way

    def _has_somebody(self, operation_id: str) -> bool:
        return operation_id in self._under_way or operation_id in self.held_back

    def _carry_out(self, entry: JournalEntry) -> None:
        following = None
        try:
            operation = carry_out(entry, self.tools)
            following = follower(operation, self.tools)
            self.ended(operation)
        except Exception:
            names = {"operation": entry.operation.operation_id}
            log.exception("operation's thread died", extra=names)
        finally:
            self._under_way.discard(entry.operation.operation_id)
            if following:
                self.begin(following)
