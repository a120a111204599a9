"""What the sampler tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from services.metrics.sampler.ports import Publish
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
            "How long a round took: measuring and publishing.",
            buckets=ROUND_BUCKETS_S,
            registry=self.registry,
        )
        self._samples = Counter(
            "lxdfleet_sampler_samples",
            "Samples taken, by whether the broker has them or they were dropped.",
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
            "Values of instances that were left out of samples, by what was wrong with them.",
            ("reason",),
            registry=self.registry,
        )
        for reason in REASONS:
            self._values.labels(reason)
        self._failures = Counter(
            "lxdfleet_sampler_instance_failures",
            "Times that an instance could not be read at all.",
            registry=self.registry,
        )

    def count_dropped(self, reason: str, number: int) -> None:
        """Count values that were left out for one of `REASONS`."""
        self._values.labels(reason).inc(number)

    def count_failure(self) -> None:
        """Count an instance that could not be read."""
        self._failures.inc()

    def counted(self, publish: Publish) -> Publish:
        """Return `publish` that counts what became of each sample."""

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
