"""What every service tells Prometheus, and how: one registry for each process, none at import.

Names begin with `lxdfleet_`, times are seconds. Labels take values from lists that the code knows;
ids, names of instances and texts are none of them, or a busy fleet would fill Prometheus.
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

# From a start that LXD answers at once to a restart that waits for a guest.
OPERATION_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


def new_registry() -> CollectorRegistry:
    """Return a registry that knows this process: its memory, CPU time and descriptors."""
    # A series beside each counter that says when it was made doubles them and tells little.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class OperationTelemetry:
    """How many operations ended, and how long they took, by kind and outcome.

    Every count is there from the start: the first `unknown` ever would be no increase otherwise.
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
        """Count an operation that has ended; None: nobody knows how long it took."""
        self._ended.labels(operation.kind, operation.state).inc()
        if took_s is not None:
            self._seconds.labels(operation.kind, operation.state).observe(took_s)


class BrokerTelemetry:
    """Whether the broker is connected, and how often it had to be connected again."""

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
        """Ask `connected` at every scrape."""
        self._connected.set_function(lambda: float(connected()))

    def note_connection(self) -> None:
        """Count a connection that was made."""
        if self._connected_before:
            self._reconnects.inc()
        self._connected_before = True
