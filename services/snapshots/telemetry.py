"""The service's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge

from shared.contracts.policies import PolicyRun, RunState
from shared.platform.telemetry import BrokerTelemetry, new_registry

OUTCOMES = ("sent", "unreachable", "refused")


class SnapshotsTelemetry:
    """The service's metrics, in `registry`."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.broker = BrokerTelemetry(self.registry)
        self._plans_sent = self._counter(
            "plans_sent", "Plans that were sent to hosts, by outcome.", "outcome"
        )
        for outcome in OUTCOMES:
            self._plans_sent.labels(outcome)
        self._runs = self._counter(
            "runs_recorded", "Changes of runs that were stored, by state.", "state"
        )
        for state in RunState:
            self._runs.labels(state.value)
        self._dead_letters = self._counter("dead_letters", "Unreadable messages of hosts.")
        self._throttled = self._counter(
            "throttled", "Messages of hosts that were taken later, as a budget was used up."
        )
        self._dead_letters.inc(0)

    def watch(
        self,
        leads: Callable[[], float],
        policies: Callable[[], float],
        hosts: Callable[[], float],
        pending: Callable[[], float],
        untrusted: Callable[[], float],
    ) -> None:
        """Call these functions at every scrape."""
        self._gauge("leads", "Whether this copy makes and sends plans.", leads)
        self._gauge("policies", "Policies in the plans.", policies)
        self._gauge("hosts", "Known hosts.", hosts)
        self._gauge("plans_pending", "Hosts that do not carry out their newest plan.", pending)
        self._gauge(
            "clocks_untrusted",
            "Hosts that prune nothing, as their clock is not trusted.",
            untrusted,
        )

    def count_plan(self, outcome: str) -> None:
        """Count a plan with one of `OUTCOMES`."""
        self._plans_sent.labels(outcome).inc()

    def count_run(self, run: PolicyRun) -> None:
        """Count a stored change of a run."""
        self._runs.labels(run.state.value).inc()

    def count_dead_letter(self) -> None:
        """Count an unreadable message."""
        self._dead_letters.inc()

    def count_throttled(self) -> None:
        """Count a message that is acknowledged late."""
        self._throttled.inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"lxdfleet_snapshots_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        gauge = Gauge(f"lxdfleet_snapshots_{name}", text, registry=self.registry)
        gauge.set_function(read)
