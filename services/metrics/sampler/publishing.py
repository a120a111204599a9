"""Publish samples in the form that the fleet's gateways read.

Gateways of this release read `Sampled`, and bind a queue to `SampledV1` only while a host sends no
other. So whether that form reaches a queue tells whether one of an earlier release is there.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

import msgspec
from msgspec.structs import replace

from services.metrics.sampler.protocols import Monotonic
from services.metrics.sampler.sample import within_message
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import SAMPLED_V1_VERSION, Event, Sampled, SampledV1

# Until it is looked again for a gateway that reads the first form.
LOOK_S = 60.0
# Until the present form is tried again after the broker has refused it.
REFUSED_S = 600.0


class SampleBus(Protocol):
    """What is used of `EventPublisher`."""

    @property
    def refused(self) -> bool:
        """Whether the broker has refused what was published last."""

    def publish(self, event: Event) -> None:
        """Publish an event; raise BrokerUnavailable."""

    def publish_to_any(self, event: Event) -> bool:
        """Publish an event; return whether it reached a queue; raise BrokerUnavailable."""


class SamplePublisher:
    """Publishes samples, and in the first form too while one of an earlier release is there.

    A host whose broker user has no right to the present form sends the first one only.
    """

    def __init__(self, bus: SampleBus, monotonic: Monotonic) -> None:
        self._bus = bus
        self._monotonic = monotonic
        self._look_at = -inf
        self._refused_until = -inf

    def publish(self, sample: Sampled) -> None:
        """Publish a sample; raise BrokerUnavailable."""
        now = self._monotonic()
        refused = now < self._refused_until
        if not refused:
            self._publish_present(sample, now)
        if refused or now >= self._look_at:
            wanted = self._bus.publish_to_any(_first_form(sample))
            self._look_at = now if wanted else now + LOOK_S

    def _publish_present(self, sample: Sampled, now: float) -> None:
        try:
            self._bus.publish(sample)
        except BrokerUnavailable:
            if self._bus.refused:
                self._refused_until = now + REFUSED_S
            raise


def _first_form(sample: Sampled) -> SampledV1:
    converted = msgspec.convert(sample, SampledV1, from_attributes=True)
    # It is twice as large. What is cut here was not dropped from the sample itself.
    instances = within_message(converted.instances, Dropped())
    return replace(converted, instances=instances, version=SAMPLED_V1_VERSION)
