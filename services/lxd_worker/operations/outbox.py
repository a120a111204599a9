"""Reports operations: what the journal holds and the broker has not confirmed yet.

Only the newest state of an operation is sent; a reader needs none in between. A failure loses
nothing: the next round begins with what is still unconfirmed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.protocols import CallLater, Publish, Signal
from shared.contracts.errors import TemporaryError
from shared.contracts.events import OperationChanged
from shared.platform.run.backoff import Backoff

_AT_ONCE = 100


@dataclass(slots=True)
class Outbox:
    """Sends the operations of a journal; `signal` is set when there may be more to send."""

    journal: Journal
    publish: Publish
    signal: Signal
    later: CallLater
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, most_s=10.0))

    def publish_unconfirmed(self) -> None:
        """Send every operation that is unconfirmed now; later changes signal the next round.

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
        """Send some operations; return whether there may be more."""
        operations = self.journal.unconfirmed(_AT_ONCE)
        for operation in operations:
            self.publish(OperationChanged(operation=operation))
            self.journal.confirm(operation.operation_id, operation.sequence)
        return len(operations) == _AT_ONCE
