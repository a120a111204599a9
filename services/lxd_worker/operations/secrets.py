"""Operations that were accepted and begin when their secrets come, and not without them.

A host hears what is secret only once it has accepted the operation, so that those that refuse it
have seen nothing. What comes is kept in memory only; a worker that was restarted meanwhile waits
on, for the gateway sends it again until it knows that it has arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.lxd_worker.creation.admission import Secrets
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.ports import WorkerClock

# The most, whatever the clocks of gateway and host say that is left.
LONGEST_WAIT_S = 60.0


@dataclass(slots=True)
class PendingSecrets:
    """Begins each operation once: with its secrets, or without them, which ends it.

    `carry_out` starts work on an operation and returns at once; `secrets` is where it finds them.
    """

    clock: WorkerClock
    carry_out: Callable[[JournalEntry], None]
    secrets: Secrets
    _awaiting: dict[str, tuple[JournalEntry, float]] = field(default_factory=dict)

    def __contains__(self, operation_id: object) -> bool:
        """Whether an operation waits for its secrets."""
        return operation_id in self._awaiting

    def expect(self, entry: JournalEntry) -> None:
        """Hold an operation back, until its `start_by` at the longest."""
        left_s = min(max(0.0, entry.start_by - self.clock.unix()), LONGEST_WAIT_S)
        deadline = self.clock.monotonic() + left_s
        self._awaiting[entry.operation.operation_id] = (entry, deadline)

    def give(self, operation_id: str, secrets: Mapping[str, str]) -> None:
        """Begin an operation with its secrets, unless it has begun."""
        if awaiting := self._awaiting.pop(operation_id, None):
            self.secrets[operation_id] = dict(secrets)
            self.carry_out(awaiting[0])

    def release(self, operation_id: str) -> None:
        """Wait no longer: what was not cancelled before ends as not started."""
        if awaiting := self._awaiting.pop(operation_id, None):
            self.carry_out(awaiting[0])

    def release_overdue(self) -> None:
        """Wait no longer for secrets whose time is over."""
        now = self.clock.monotonic()
        for operation_id in [one for one, (_, until) in self._awaiting.items() if until <= now]:
            self.release(operation_id)
