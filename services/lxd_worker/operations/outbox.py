"""Reports operations: what the journal holds and the broker has not confirmed yet.

Only the newest state of an operation is sent; a reader needs none in between. A failure loses
nothing: the next round begins with what is still unconfirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.protocols import CallLater, Publish, Signal
from shared.contracts.errors import TemporaryError
from shared.contracts.events import OperationChanged
from shared.contracts.operations import Operation
from shared.platform.run.backoff import Backoff

T = TypeVar("T")

_AT_ONCE = 100


@dataclass(slots=True)
class Outbox(Generic[T]):
    """Sends what is unconfirmed; `signal` is set when there may be more to send.

    `unconfirmed` returns the oldest records, at most so many; `send` publishes one of them, and
    records that the broker has it.
    """

    unconfirmed: Callable[[int], Sequence[T]]
    send: Callable[[T], None]
    signal: Signal
    later: CallLater
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, most_s=10.0))

    def publish_unconfirmed(self) -> None:
        """Send everything that is unconfirmed now; later changes signal the next round.

        Raises BrokerUnavailable and DatabaseUnavailable, after which it is signalled again.
        """
        try:
            while self._publish_some():
                pass
        except TemporaryError:
            self.later(self._backoff.next_s(), self.signal)
            raise
        self._backoff.reset()

    def _publish_some(self) -> bool:
        """Send some records; return whether there may be more."""
        records = self.unconfirmed(_AT_ONCE)
        for record in records:
            self.send(record)
        return len(records) == _AT_ONCE


def operation_outbox(
    journal: Journal, publish: Publish, signal: Signal, later: CallLater
) -> Outbox[Operation]:
    """Return the outbox of a journal's operations."""

    def send(operation: Operation) -> None:
        publish(OperationChanged(operation=operation))
        journal.confirm(operation.operation_id, operation.sequence)

    return Outbox(journal.unconfirmed, send, signal, later)
