"""Reports runs: what is in the database and the broker has not confirmed yet.

As for operations only the newest state of a run is sent, and a failure loses nothing.
"""

from __future__ import annotations

from services.lxd_worker.operations.outbox import Outbox
from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.protocols import CallLater, Publish, Signal
from shared.contracts.events import PolicyRunChanged
from shared.contracts.policies import PolicyRun


def policy_run_outbox(
    store: PolicyStore, publish: Publish, signal: Signal, later: CallLater
) -> Outbox[PolicyRun]:
    """Return the outbox of the runs of policies."""

    def send(run: PolicyRun) -> None:
        publish(PolicyRunChanged(run=run))
        store.confirm_run(run.operation_id, run.sequence)

    return Outbox(store.unconfirmed_runs, send, signal, later)
