"""Reports runs: what is in the database and the broker has not confirmed yet.

As for operations only the newest state of a run is sent, and a failure loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.protocols import CallLater, Publish, Signal
from shared.contracts.errors import TemporaryError
from shared.contracts.events import PolicyRunChanged
from shared.platform.run.backoff import Backoff

_AT_ONCE = 100


@dataclass(slots=True)
class PolicyRunOutbox:
    """Sends runs; `signal` is set when there may be more to send."""

    store: PolicyStore
    publish: Publish
    signal: Signal
    later: CallLater
    _backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, most_s=10.0))

    def publish_unconfirmed(self) -> None:
        """Send every run that is unconfirmed now; later changes signal the next round.

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
        """Send some runs; return whether there may be more."""
        runs = self.store.unconfirmed_runs(_AT_ONCE)
        for run in runs:
            self.publish(PolicyRunChanged(run=run))
            self.store.confirm_run(run.operation_id, run.sequence)
        return len(runs) == _AT_ONCE
