"""Prometheus metrics of the gateway, and of the fleet's size and health.

The many series of the instances are written by `responses.metrics` instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.responses.fleet_metrics import fleet_metrics
from services.gateway.responses.protection_metrics import protection_metrics
from shared.contracts.errors import FleetError
from shared.contracts.policy_api import CallSnapshots
from shared.contracts.worker_api import Call
from shared.platform.telemetry import BrokerTelemetry, OperationTelemetry, new_registry

ANSWERED = "answered"
CANCELLED = "given_up"
CALL_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class HostTelemetry:
    """Counts what hosts should not send; `host` is the id of a known host, or `_unknown`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._dead_letters = Counter(
            "lxdfleet_gateway_dead_letters",
            "Messages of a host that could not be read.",
            ("host",),
            registry=registry,
        )
        self._throttled = Counter(
            "lxdfleet_gateway_throttled_messages",
            "Messages of a host beyond what it may send.",
            ("host",),
            registry=registry,
        )
        self._blocked = Gauge(
            "lxdfleet_gateway_broker_blocked",
            "Whether the broker takes no messages, for want of memory or disk space.",
            registry=registry,
        )

    def watch(self, blocked: Callable[[], str]) -> None:
        """Call `blocked` for the reason at every scrape."""
        self._blocked.set_function(lambda: float(bool(blocked())))

    def dead_letter(self, host: str) -> None:
        """Count a message that could not be read."""
        self._dead_letters.labels(host).inc()

    def throttled(self, host: str) -> None:
        """Count a message that was acknowledged late."""
        self._throttled.labels(host).inc()


class Telemetry:
    """The gateway's metrics."""

    def __init__(self, fleet: FleetView) -> None:
        # Those of the fleet are written between the two.
        self._own, self._registry = new_registry(), CollectorRegistry()
        self._not_rendered = Counter(
            "lxdfleet_entries_not_rendered",
            "Entries that could not be rendered, each once until its failure changes.",
            ("kind",),
            registry=self._own,
        )
        self.boundary = ErrorBoundary(self._count_failure)
        self._fleet = fleet
        self.broker = BrokerTelemetry(self._registry)
        self.hosts = HostTelemetry(self._registry)
        self.operations = OperationTelemetry("lxdfleet", "request", self._registry)
        self._calls = Histogram(
            "lxdfleet_rpc_seconds",
            "From a call of a worker to its answer, by method and outcome.",
            ("method", "outcome"),
            buckets=CALL_BUCKETS_S,
            registry=self._registry,
        )
        self._central_calls = Histogram(
            "lxdfleet_snapshots_rpc_seconds",
            "From a call of the snapshots service to its answer, by method and outcome.",
            ("method", "outcome"),
            buckets=CALL_BUCKETS_S,
            registry=self._registry,
        )
        self._clients = Gauge(
            "lxdfleet_websocket_clients",
            "Clients of a live stream.",
            ("stream",),
            registry=self._registry,
        )
        self._dropped = Counter(
            "lxdfleet_websocket_clients_dropped",
            "Clients that were disconnected because they did not read their messages in time.",
            ("stream",),
            registry=self._registry,
        )
        self._refused = Counter(
            "lxdfleet_connections_refused",
            "Connections and WebSockets beyond a limit, by which one.",
            ("limit",),
            registry=self._registry,
        )
        for limit in ("total", "address", "descriptors", "websockets"):
            self._refused.labels(limit)

    def steps(self) -> Iterator[bytes]:
        """Yield all metrics in Prometheus' text format; a step does not grow with the fleet."""
        yield generate_latest(self._own)
        for text in fleet_metrics(self._fleet, self.boundary):
            yield text.encode()
        yield from protection_metrics(self._fleet, self.boundary)
        yield generate_latest(self._registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format at once."""
        return b"".join(self.steps())

    @contextmanager
    def track_client(self, stream: str) -> Iterator[None]:
        """Count a client of a stream while it is connected."""
        self._dropped.labels(stream)
        with self._clients.labels(stream).track_inprogress():
            yield

    def count_dropped_client(self, stream: str) -> None:
        """Count a client that was too slow."""
        self._dropped.labels(stream).inc()

    def _count_failure(self, subject: EntrySubject) -> None:
        self._not_rendered.labels(subject.kind).inc()

    def count_refused(self, reason: str) -> None:
        """Count a connection beyond a limit."""
        self._refused.labels(reason).inc()

    def instrument(self, call: Call) -> Call:
        """Return `call` with its duration measured.

        The outcome is `answered`, the code of the error it raised, or `given_up` if it was
        cancelled.
        """

        async def instrumented(host: str, method: str, args: list[object]) -> object:
            with _measured(self._calls, method):
                return await call(host, method, args)

        return instrumented

    def instrument_central(self, call: CallSnapshots) -> CallSnapshots:
        """Return the same for calls of the snapshots service."""

        async def instrumented(method: str, args: list[object]) -> object:
            with _measured(self._central_calls, method):
                return await call(method, args)

        return instrumented


@contextmanager
def _measured(calls: Histogram, method: str) -> Iterator[None]:
    """Observe how long a call takes, and its outcome."""
    started, outcome = time.perf_counter(), CANCELLED
    try:
        yield
        outcome = ANSWERED
    except FleetError as error:
        outcome = error.code
        raise
    finally:
        calls.labels(method, outcome).observe(time.perf_counter() - started)
