"""Secrets of operations: waited for, kept in memory only, and used once.

A host is sent secrets only once it has accepted the operation, so hosts that refuse it never see
them. A worker that was restarted meanwhile waits again: the gateway repeats them until it knows
that they have arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.creation.cloud_init import ROOT_PASSWORD
from services.lxd_worker.creation.request import creation_body
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.protocols import Lxd
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import StepInterrupted

# The longest wait, however much time the clocks of gateway and host say is left.
LONGEST_WAIT_S = 60.0
PASSWORD_STEPS = (Step.SET_PASSWORD, Step.NOTE_PASSWORD)

# The secrets of operations that LXD has not been asked for yet, by operation id and name.
SecretsById = dict[str, dict[str, str]]


@dataclass(slots=True)
class PendingSecrets:
    """Starts each operation once: with its secrets, or without them, which ends it.

    `start` starts work on an operation and returns at once; it finds the secrets in `secrets`.
    """

    clock: WorkerClock
    start: Callable[[JournalEntry], None]
    secrets: SecretsById
    _pending: dict[str, tuple[JournalEntry, float]] = field(default_factory=dict)

    def __contains__(self, operation_id: object) -> bool:
        """Whether an operation waits for its secrets."""
        return operation_id in self._pending

    def expect(self, entry: JournalEntry) -> None:
        """Hold an operation back, until its `start_by` at the latest."""
        left_s = min(max(0.0, entry.start_by - self.clock.unix()), LONGEST_WAIT_S)
        deadline = self.clock.monotonic() + left_s
        self._pending[entry.operation.operation_id] = (entry, deadline)

    def deliver(self, operation_id: str, secrets: Mapping[str, str]) -> None:
        """Start an operation with its secrets, unless it has started."""
        if pending := self._pending.pop(operation_id, None):
            self.secrets[operation_id] = dict(secrets)
            self.start(pending[0])

    def release(self, operation_id: str) -> None:
        """Wait no longer: unless it was cancelled before, the operation ends as not started."""
        if pending := self._pending.pop(operation_id, None):
            self.start(pending[0])

    def release_overdue(self) -> None:
        """Wait no longer for secrets that are overdue."""
        now = self.clock.monotonic()
        for operation_id in [one for one, (_, until) in self._pending.items() if until <= now]:
            self.release(operation_id)


def request_creation(entry: JournalEntry, lxd: Lxd, secrets: SecretsById) -> str:
    """Ask LXD for a new instance and return LXD's id of that; errors as `Lxd.request`.

    Raises StepInterrupted if its secrets were lost with an earlier run of this worker.
    """
    new, plan = entry.operation.arguments.create, entry.plan
    given = secrets.pop(entry.operation.operation_id, {})
    if new is None or plan is None or (plan.secret and not given):
        raise StepInterrupted(Step.CREATE.value)
    return lxd.create(entry.operation.project, creation_body(entry.operation, new, plan, given))


def take_password_step(step: Step, entry: JournalEntry, lxd: Lxd, secrets: SecretsById) -> None:
    """Set or note a password, and return once that is done.

    LXD does these steps before it answers: nobody can find out later what became of one that was
    interrupted. Raises StepInterrupted if the password was lost with an earlier run of this worker;
    else errors as `Lxd.set_password` and `Lxd.note_password`.
    """
    operation = entry.operation
    password = secrets.get(operation.operation_id, {}).get(ROOT_PASSWORD)
    if password is None:
        raise StepInterrupted(step.value)
    if step is Step.SET_PASSWORD:
        lxd.set_password(operation.project, operation.instance, password)
    else:
        lxd.note_password(operation.project, operation.instance, password)
