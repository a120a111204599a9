"""What is written for Prometheus by hand means what prometheus-client would write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.views import HostView
from services.gateway.responses.fleet_metrics import (
    HOST_GAUGES,
    SAMPLE_GAUGES,
    fleet_metrics,
)
from services.gateway.responses.metrics import AT_ONCE, exposition, subjects
from services.gateway.responses.prometheus_families import COUNTER, SECTIONS, escaped
from shared.contracts.instances import Instance
from shared.contracts.samples import InstanceSample, MemoryParts
from shared.contracts.status import Status
from tests.support.builders import an_instance
from tests.support.drawing import any_of
from tests.support.gateway import FakeFleet
from tests.support.views import MEASURED, a_host_view, a_view, view_of

Samples = list[tuple[Instance, InstanceSample]]

ANY_SAMPLES = st.lists(
    st.tuples(any_of(Instance), any_of(InstanceSample)),
    max_size=2,
    unique_by=lambda pair: (escaped(pair[0].name), escaped(pair[0].project)),
)
AGES = st.floats(allow_nan=True, allow_infinity=True) | st.none()


def failed(subject: EntrySubject) -> None:
    pytest.fail(f"{subject} was not rendered")


STRICT = ErrorBoundary(failed)


class Objects(Collector):
    """Metrics as prometheus-client's objects."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def objects_of(samples: Samples) -> Iterator[Metric]:
    """Return the instances' families as objects, each value with its series' labels."""
    found = list(chain.from_iterable(e.found for e in subjects(fleet_of(samples), ["h1"])))
    for section in SECTIONS:
        rows = [(labels_of(text), values) for text, values in section.rows(found)]
        for column, family in enumerate(section.families):
            kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
            there = [(labels, values[column]) for labels, values in rows]
            series = [(labels, value) for labels, value in there if value is not None]
            if series:
                made = kind(family.name, family.help, labels=tuple(series[0][0]))
                for labels, value in series:
                    made.add_metric(tuple(labels.values()), value)
                yield made


def labels_of(text: str) -> dict[str, str]:
    """Return labels as a scraper reads them."""
    [family] = text_string_to_metric_families(f"x{{{text}}} 0\n")
    return family.samples[0].labels


def readable(name: str) -> str:
    """Return a host's name as a scraper reads it."""
    return labels_of(f'host="{escaped(name)}"')["host"]


def fleet_of(samples: Samples) -> FakeFleet:
    views = [view_of(instance, sample) for instance, sample in samples]
    return FakeFleet([a_host_view()], views)


class DecodedFleet(FakeFleet):
    """A host's samples as they are, whatever no sampler could send."""

    def __init__(self, *decoded: tuple[Instance, InstanceSample]) -> None:
        super().__init__([a_host_view()], [])
        self._decoded = decoded

    def samples(self, host: str) -> Sequence[tuple[Instance, InstanceSample]]:
        return self._decoded


def written(fleet: FakeFleet, *hosts: str) -> str:
    return b"".join(exposition(subjects(fleet, hosts or ["h1"], STRICT), STRICT)).decode()


def read(text: str) -> list[tuple[object, ...]]:
    """Return families with their series as a scraper keeps them: every value is a float to it."""
    return [
        (family.name, family.type, family.documentation, sample.labels, float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


@given(ANY_SAMPLES)
def test_instances_are_written_as_prometheus_client_does(samples: Samples) -> None:
    expected = generate_latest(Objects(objects_of(samples))).decode()  # type: ignore[arg-type]

    assert read(written(fleet_of(samples))) == read(expected)


@given(ANY_SAMPLES)
def test_each_family_is_one_group_of_lines(samples: Samples) -> None:
    names = [
        line.partition("{")[0] for line in written(fleet_of(samples)).splitlines() if line[0] != "#"
    ]

    groups = [name for name, before in zip(names, [None, *names], strict=False) if name != before]
    assert len(groups) == len(set(groups))


@given(st.lists(st.text(min_size=1, max_size=9), max_size=3, unique_by=escaped), AGES, AGES)
def test_hosts_are_written_exactly_as_prometheus_client_does(
    names: Sequence[str], age_s: float | None, skew_s: float | None
) -> None:
    hosts = [a_host_view(each, sample_age_s=age_s, clock_skew_s=skew_s) for each in names]
    statuses = ["Running", "Gone", *Status]
    fleet = FakeFleet(hosts, [a_view(each, status=each) for each in statuses])

    text = "".join(fleet_metrics(fleet, STRICT)).encode()

    reference = Objects(fleet_objects(fleet.hosts(), statuses))
    assert text == generate_latest(reference)  # type: ignore[arg-type]


def fleet_objects(hosts: Sequence[HostView], statuses: Sequence[str]) -> Iterator[Metric]:
    """Return the fleet's own families as objects."""
    states = GaugeMetricFamily("lxdfleet_hosts", "Hosts of the fleet.", labels=("state",))
    states.add_metric(("online",), len(hosts))
    states.add_metric(("offline",), 0)
    yield states
    counts = GaugeMetricFamily("lxdfleet_instances", "Instances of all hosts.", labels=("status",))
    for status in Status:
        counts.add_metric((status,), statuses.count(status))
    counts.add_metric(("Other",), sum(status not in set(Status) for status in statuses))
    yield counts
    for name, text, read_host in HOST_GAUGES:
        family = GaugeMetricFamily(f"lxdfleet_{name}", text, labels=("host",))
        for host in hosts:
            if (value := read_host(host)) is not None:
                family.add_metric((readable(host.host),), value)
        yield family
    for name, text, read_sample in SAMPLE_GAUGES:
        family = GaugeMetricFamily(f"lxdfleet_{name}", text, labels=("host",))
        for host in hosts:
            sample = host.sample.host if host.sample and host.fresh else None
            if sample and (value := read_sample(sample)) is not None:
                family.add_metric((readable(host.host),), value)
        yield family


class CountedSample:
    """A sample that counts how often each detail is read."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def __getattr__(self, name: str) -> object:
        self._counts[name] = self._counts.get(name, 0) + 1
        return getattr(MEASURED, name)


def test_each_detail_of_a_sample_is_read_once() -> None:
    counts: dict[str, int] = {}
    counted = CountedSample(counts)
    fleet = DecodedFleet((an_instance(), counted))  # type: ignore[arg-type]

    text = written(fleet)

    assert "lxd_network_receive_bytes_total" in text
    assert {counts[name] for name in ("memory", "interfaces", "block_devices")} == {1}


def test_a_step_reads_a_bounded_number_of_instances() -> None:
    many = [a_view(f"i{number}") for number in range(2 * AT_ONCE + 1)]
    fleet = FakeFleet([a_host_view("h0"), a_host_view("h1")], many)

    steps = [len(some.found) for some in subjects(fleet, ["h0", "h1"])]

    assert steps == [AT_ONCE, AT_ONCE, 1]


def test_a_host_that_goes_or_falls_silent_during_a_scrape_is_left_out() -> None:
    hosts = [a_host_view("h1"), a_host_view("h2"), a_host_view("h3")]
    fleet = FakeFleet(list(hosts), [a_view(host=each.host) for each in hosts])
    steps = exposition(subjects(fleet, ["h1", "h2", "h3"]))

    next(steps)
    fleet.known_hosts = [hosts[0], a_host_view("h2", sample_age_s=999.0)]
    text = b"".join(steps).decode()

    assert 'host="h1"' in text
    assert 'host="h2"' not in text
    assert 'host="h3"' not in text


def test_what_is_no_number_costs_its_own_series_only() -> None:
    parts = MemoryParts(rss="1,2")  # type: ignore[arg-type]
    odd = msgspec.structs.replace(MEASURED, memory=parts)
    fleet = DecodedFleet((an_instance("odd"), odd), (an_instance("web"), MEASURED))

    text = b"".join(exposition(subjects(fleet, ["h1"]))).decode()

    rss = [line for line in text.splitlines() if line.startswith("lxd_memory_RSS")]
    assert [labels_of(line[line.index("{") + 1 : line.index("}")])["name"] for line in rss] == [
        "web"
    ]
    assert 'lxd_procs_total{host="h1",name="odd"' in text


@pytest.mark.parametrize("name", ["100%s", "%", "%%d", "a\nb", "\0"])
def test_no_name_disturbs_the_lines_of_others(name: str) -> None:
    instances = [an_instance(name), an_instance("web")]
    fleet = fleet_of([(each, MEASURED) for each in instances])

    found = [each.samples for each in text_string_to_metric_families(written(fleet))]

    names = {sample.labels["name"] for samples in found for sample in samples}
    assert names == {name.replace("\0", "\N{REPLACEMENT CHARACTER}"), "web"}
