from __future__ import annotations

import pytest

from services.metrics.telemetry import SamplerTelemetry
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Sampled
from shared.contracts.samples import HostSample, InstanceSample

SAMPLE = Sampled(
    epoch=1,
    sequence=1,
    at="2026-11-20T10:00:00Z",
    interval_s=5.0,
    source="lxd",
    host=HostSample(
        cpu_cores=2, cpu_percent=1, memory_total=4, memory_used=2, disk_total=4, disk_used=2
    ),
    instances=[InstanceSample(name="web", uuid="u")],
)


def test_samples_are_counted_by_what_became_of_them() -> None:
    telemetry = SamplerTelemetry()
    published: list[Sampled] = []
    away = False

    def publish(sample: Sampled) -> None:
        if away:
            raise BrokerUnavailable
        published.append(sample)

    counted = telemetry.count_outcomes(publish)
    counted(SAMPLE)
    away = True
    with pytest.raises(BrokerUnavailable):
        counted(SAMPLE)

    value = telemetry.registry.get_sample_value
    assert published == [SAMPLE]
    assert value("lxdfleet_sampler_samples_total", {"outcome": "published"}) == 1
    assert value("lxdfleet_sampler_samples_total", {"outcome": "dropped"}) == 1
    assert value("lxdfleet_sampler_instances") == 1
    assert (value("lxdfleet_sampler_last_sample_timestamp_seconds") or 0) > 1.7e9


def test_values_left_out_are_counted_by_what_was_wrong_with_them() -> None:
    telemetry = SamplerTelemetry()

    telemetry.count_dropped("too_many", 3936)
    telemetry.count_failure()

    value = telemetry.registry.get_sample_value
    assert value("lxdfleet_sampler_values_dropped_total", {"reason": "too_many"}) == 3936
    assert value("lxdfleet_sampler_values_dropped_total", {"reason": "unreadable"}) == 0
    assert value("lxdfleet_sampler_instance_failures_total") == 1
