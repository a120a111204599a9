"""In which form samples are sent, by who is there to read them."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from services.metrics.sampler.publishing import LOOK_S, REFUSED_S, SamplePublisher
from shared.contracts.codec import decode, encode
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Event, Sampled, SampledV1
from shared.contracts.samples_v1 import InstanceSampleV1
from tests.support.builders import a_sample_message, an_instance
from tests.support.clock import FakeClock
from tests.support.views import MEASURED

SAMPLE = a_sample_message(an_instance())


@dataclass
class FakeBus:
    """A broker with gateways; `old_ones`: some are of an earlier release."""

    old_ones: bool = False
    refuses: bool = False
    refused: bool = False
    published: list[Event] = field(default_factory=list)

    def publish(self, event: Event) -> None:
        self.refused = self.refuses
        if self.refuses:
            raise BrokerUnavailable
        self.published.append(event)

    def publish_to_any(self, event: Event) -> bool:
        self.refused = False
        self.published.append(event)
        return self.old_ones

    def forms(self) -> list[type[Event]]:
        forms = [type(event) for event in self.published]
        self.published.clear()
        return forms


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def publisher(bus: FakeBus, time: FakeClock) -> SamplePublisher:
    return SamplePublisher(bus, time.clock.monotonic)


def test_the_first_form_is_sent_too_while_somebody_reads_it(
    bus: FakeBus, publisher: SamplePublisher, time: FakeClock
) -> None:
    bus.old_ones = True
    publisher.publish(SAMPLE)
    publisher.publish(SAMPLE)
    both = bus.forms()
    bus.old_ones = False
    publisher.publish(SAMPLE)
    publisher.publish(SAMPLE)

    assert both == [Sampled, SampledV1] * 2
    assert bus.forms() == [Sampled, SampledV1, Sampled]


def test_who_comes_later_is_found(
    bus: FakeBus, publisher: SamplePublisher, time: FakeClock
) -> None:
    publisher.publish(SAMPLE)
    bus.forms()
    bus.old_ones = True
    publisher.publish(SAMPLE)
    before = bus.forms()
    time.advance(LOOK_S)
    publisher.publish(SAMPLE)
    publisher.publish(SAMPLE)

    assert before == [Sampled]
    assert bus.forms() == [Sampled, SampledV1] * 2


def test_without_the_right_to_the_present_form_the_first_is_sent(
    bus: FakeBus, publisher: SamplePublisher, time: FakeClock
) -> None:
    bus.refuses = True
    with pytest.raises(BrokerUnavailable):
        publisher.publish(SAMPLE)
    publisher.publish(SAMPLE)
    time.advance(5)
    publisher.publish(SAMPLE)
    without = bus.forms()
    bus.refuses = False
    time.advance(REFUSED_S)
    publisher.publish(SAMPLE)

    assert without == [SampledV1, SampledV1]
    assert Sampled in bus.forms()


def test_a_broker_that_is_away_is_no_refusal(bus: FakeBus, publisher: SamplePublisher) -> None:
    publisher.publish(SAMPLE)
    bus.forms()
    away = BrokerAway()
    with pytest.raises(BrokerUnavailable):
        SamplePublisher(away, lambda: 0.0).publish(SAMPLE)

    publisher.publish(SAMPLE)

    assert bus.forms() == [Sampled]


class BrokerAway:
    """A broker that takes nothing, and refuses nothing."""

    refused = False

    def publish(self, event: Event) -> None:
        raise BrokerUnavailable

    def publish_to_any(self, event: Event) -> bool:
        raise BrokerUnavailable


def test_the_first_form_says_the_same(bus: FakeBus, publisher: SamplePublisher) -> None:
    full = msgspec.structs.replace(SAMPLE, instances=[MEASURED])

    publisher.publish(full)

    _, first = bus.published
    assert isinstance(first, SampledV1)
    assert first.version == "1.3"
    read = decode(SampledV1, encode(first))
    [instance] = read.instances
    assert isinstance(instance, InstanceSampleV1)
    fields = InstanceSampleV1.__struct_fields__
    nested = {"addresses", "memory", "interfaces", "block_devices"}
    for name in set(fields) - nested:
        assert getattr(instance, name) == getattr(MEASURED, name), name
    assert [each.address for each in instance.addresses] == [
        each.address for each in MEASURED.addresses
    ]
    assert instance.memory is not None
    assert MEASURED.memory is not None
    assert instance.memory.cached == MEASURED.memory.cached
