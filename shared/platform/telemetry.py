"""Prometheus metrics that all services share; each process creates one registry, none at import.

Names begin with `lxdfleet_`, times are seconds. The values of labels come from fixed lists: ids,
instance names and free texts are not labels, or a busy fleet would fill Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from shared.contracts.operations import FINAL, Kind, Operation

# From a start that LXD completes at once to a restart that waits for the guest.
OPERATION_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


def new_registry() -> CollectorRegistry:
    """Return a registry with this process's memory, CPU time and file descriptors."""
    # The `_created` series beside each counter would double their number for little use.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class OperationTelemetry:
    """How many operations ended, and how long they took, by kind and outcome.

    All counters exist from the start; otherwise the first `unknown` would not be an increase.
    """

    def __init__(self, prefix: str, since: str, registry: CollectorRegistry) -> None:
        labels = ("kind", "outcome")
        self._ended = Counter(
            f"{prefix}_operations", "Operations that ended.", labels, registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_operation_seconds",
            f"From an operation's {since} to its end.",
            labels,
            buckets=OPERATION_BUCKETS_S,
            registry=registry,
        )
        for kind, outcome in product(Kind, FINAL):
            self._ended.labels(kind, outcome)

    def ended(self, operation: Operation, took_s: float | None) -> None:
        """Count an operation that has ended; `took_s` is None if its duration is unknown."""
        self._ended.labels(operation.kind, operation.state).inc()
        if took_s is not None:
            self._seconds.labels(operation.kind, operation.state).observe(took_s)


class BrokerTelemetry:
    """Whether the broker is connected, and how often a service reconnected."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._connected_before = False
        self._reconnects = Counter(
            "lxdfleet_broker_reconnects",
            "Connections to the broker after the first one.",
            registry=registry,
        )
        self._connected = Gauge(
            "lxdfleet_broker_connected",
            "Whether the broker is connected now.",
            registry=registry,
        )

    def watch(self, connected: Callable[[], bool]) -> None:
        """Call `connected` at every scrape."""
        self._connected.set_function(lambda: float(connected()))

    def note_connection(self) -> None:
        """Count a new connection."""
        if self._connected_before:
            self._reconnects.inc()
        self._connected_before = True
