"""The worker's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import Counter, Gauge

from services.lxd_worker.omissions import Omissions
from shared.contracts.operations import Operation
from shared.contracts.policies import PolicyRun, RunState
from shared.platform.telemetry import BrokerTelemetry, OperationTelemetry, new_registry


class WorkerTelemetry:
    """The worker's metrics, in `registry`."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.broker = BrokerTelemetry(self.registry)
        self.omissions = Omissions(self.registry)
        self._operations = OperationTelemetry("lxdfleet_worker", "acceptance", self.registry)
        self._journal = Gauge(
            "lxdfleet_worker_journal_length",
            "Operations in the journal, finished ones among them.",
            registry=self.registry,
        )
        self._lxd = Gauge(
            "lxdfleet_worker_lxd_connected",
            "Whether LXD answers and sends its events.",
            registry=self.registry,
        )

        self._plan = Gauge(
            "lxdfleet_worker_policy_plan_version",
            "Version of the plan of snapshot policies that the host carries out.",
            registry=self.registry,
        )
        self._clock = Gauge(
            "lxdfleet_worker_clock_trusted",
            "Whether the clock agreed with the centre's and has not jumped since.",
            registry=self.registry,
        )
        self._runs = Counter(
            "lxdfleet_worker_policy_runs",
            "Runs of snapshot policies, by how they ended.",
            ("state",),
            registry=self.registry,
        )
        self._pruned = Counter(
            "lxdfleet_worker_snapshots_pruned",
            "Snapshots that policies have deleted.",
            registry=self.registry,
        )
        for state in RunState:
            if state is not RunState.RUNNING:
                self._runs.labels(state)

    def watch(self, journal_length: Callable[[], int], lxd_connected: Callable[[], bool]) -> None:
        """Call both at every scrape; they must not block."""
        self._journal.set_function(lambda: float(journal_length()))
        self._lxd.set_function(lambda: float(lxd_connected()))

    def watch_policies(
        self, plan_version: Callable[[], int], clock_trusted: Callable[[], bool]
    ) -> None:
        """Call both at every scrape; they must not block."""
        self._plan.set_function(lambda: float(plan_version()))
        self._clock.set_function(lambda: float(clock_trusted()))

    def policy_run_ended(self, run: PolicyRun) -> None:
        """Count a run of a snapshot policy that is over."""
        self._runs.labels(run.state).inc()
        self._pruned.inc(run.pruned_count)

    def operation_ended(self, operation: Operation) -> None:
        """Count an operation that has ended."""
        self._operations.ended(operation, _took_s(operation))


def _took_s(operation: Operation) -> float | None:
    try:
        took_s = _moment(operation.finished_at) - _moment(operation.accepted_at)
    except (ValueError, OverflowError):
        return None
    # The clock may have been set back meanwhile.
    return max(0.0, took_s)


def _moment(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()
