"""The sampler's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from services.metrics.sampler.protocols import Publish
from services.metrics.sampler.sanitize import REASONS
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Sampled
from shared.platform.telemetry import BrokerTelemetry, new_registry

ROUND_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class SamplerTelemetry:
    """The sampler's metrics, in `registry`; `round` times one of its rounds."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.broker = BrokerTelemetry(self.registry)
        self.round = Histogram(
            "lxdfleet_sampler_round_seconds",
            "Duration of a round: measuring and publishing.",
            buckets=ROUND_BUCKETS_S,
            registry=self.registry,
        )
        self._samples = Counter(
            "lxdfleet_sampler_samples",
            "Samples taken, published or dropped.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in ("published", "dropped"):
            self._samples.labels(outcome)
        self._last = Gauge(
            "lxdfleet_sampler_last_sample_timestamp_seconds",
            "When the broker last confirmed a sample, as Unix time; 0: never.",
            registry=self.registry,
        )
        self._instances = Gauge(
            "lxdfleet_sampler_instances",
            "Instances in the last sample: all but stopped ones.",
            registry=self.registry,
        )

        self._values = Counter(
            "lxdfleet_sampler_values_dropped",
            "Values of instances that were dropped from samples, by reason.",
            ("reason",),
            registry=self.registry,
        )
        for reason in REASONS:
            self._values.labels(reason)
        self._failures = Counter(
            "lxdfleet_sampler_instance_failures",
            "Failures to read an instance at all.",
            registry=self.registry,
        )

    def count_dropped(self, reason: str, number: int) -> None:
        """Count values that were dropped for one of `REASONS`."""
        self._values.labels(reason).inc(number)

    def count_failure(self) -> None:
        """Count an instance that could not be read."""
        self._failures.inc()

    def count_outcomes(self, publish: Publish) -> Publish:
        """Return `publish` with the outcome of each sample counted."""

        def publish_and_count(sample: Sampled) -> None:
            try:
                publish(sample)
            except BrokerUnavailable:
                self._samples.labels("dropped").inc()
                raise
            self._samples.labels("published").inc()
            self._instances.set(len(sample.instances))
            self._last.set_to_current_time()

        return publish_and_count
