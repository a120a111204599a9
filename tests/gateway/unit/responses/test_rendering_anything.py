"""Whatever the contracts allow a host to say is rendered, without the help of the boundary."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.encoded_samples import encoded_instance, encoded_sample
from services.gateway.fleet.pagination import PageRequest
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.api.operations import view
from services.gateway.http.instance_list import InstanceFilter, InstanceList, ListQuery
from services.gateway.http.operation_response import addresses
from services.gateway.http.v1.vm_filter import VmFilter
from services.gateway.http.v1.vm_list import PageQuestion, Pages
from services.gateway.responses import stream
from services.gateway.responses.metrics import exposition, subjects
from services.gateway.responses.operations import encoded_operation
from services.gateway.responses.snapshots import vm_snapshot
from services.gateway.responses.time_range import Period
from services.gateway.responses.vm_metrics import vm_metrics
from services.gateway.responses.vms import vm_state
from services.gateway.telemetry import Telemetry
from services.gateway.vms.snapshots import DescribedSnapshot
from services.gateway.vms.templates import list_templates
from services.gateway.ws.change_log import ChangeLog
from services.gateway.ws.monitor_messages import MonitorMessages
from services.gateway.ws.protocol import TopicFilter
from services.gateway.ws.topic_channel import TopicChannel
from services.gateway.ws.topic_sources import HostSource, InstanceSource
from shared.contracts.events import Heartbeat, HostDescribed, Sampled
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation
from shared.contracts.samples import InstanceSample
from shared.contracts.worker_api import Snapshot
from tests.support.builders import an_instance, an_inventory
from tests.support.clock import FakeClock
from tests.support.drawing import any_of
from tests.support.gateway import FakeFleet
from tests.support.views import a_host_view, view_of

pytestmark = pytest.mark.attack

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
AGES = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([-5.0, 1e300])
SEARCH = st.text(max_size=20)


def told(subject: EntrySubject) -> None:
    pytest.fail(f"{subject} was not rendered")


STRICT = ErrorBoundary(told)


def drawn_hosts() -> st.SearchStrategy[HostView]:
    return st.builds(
        replace,
        st.just(a_host_view("h1")),
        sample=any_of(Sampled).map(encoded_sample) | st.none(),
        sample_age_s=AGES | st.none(),
        age_s=AGES | st.none(),
        inventory_age_s=AGES,
        clock_skew_s=AGES | st.none(),
        resources=any_of(HostDescribed) | st.none(),
        server_name=st.text(max_size=20),
        online=st.booleans(),
    )


def drawn_instances() -> st.SearchStrategy[InstanceView]:
    return st.builds(
        InstanceView,
        host=st.just("h1"),
        instance=any_of(Instance),
        encoded_sample=any_of(InstanceSample).map(encoded_instance) | st.none(),
        sampled_at=st.text(max_size=30) | any_of(Sampled).map(lambda sampled: sampled.at),
        duplicate=st.booleans(),
        changed_at=AGES | st.none(),
    )


def parsed(body: bytes) -> Any:
    """Return what JSON means to a client that takes no `NaN`."""
    return json.loads(body, parse_constant=pytest.fail)


@given(drawn_hosts(), drawn_instances(), SEARCH)
async def test_any_instance_is_in_the_lists_of_both_apis(
    host: HostView, instance: InstanceView, text: str
) -> None:
    fleet = FakeFleet([host], [instance, view_of(an_instance("other"))])
    answers, pages = InstanceList(fleet, lambda: 0.0, STRICT), Pages(fleet, lambda: 0.0, STRICT)
    part = PageRequest(1)

    for secrets in (True, False):
        whole = parsed((await answers.instances(ListQuery(InstanceFilter(), secrets))).body)
        assert len(whole) == 2
        first = await answers.instances(ListQuery(InstanceFilter(), secrets, part))
        cursor = first.headers["x-next-cursor"]
        rest = await answers.instances(
            ListQuery(InstanceFilter(), secrets, PageRequest(1, cursor=cursor))
        )
        assert parsed(first.body) + parsed(rest.body) == whole
        await answers.instances(ListQuery(InstanceFilter(search=text), secrets))
        page = parsed((await pages.page(PageQuestion(VmFilter(), PageRequest(10), secrets))).body)
        assert len(page["data"]["vms"]) == 2
        await pages.page(PageQuestion(VmFilter(search=text, labels=(text,)), part, secrets))


@given(drawn_hosts(), drawn_instances())
async def test_any_instance_is_in_the_streams(host: HostView, instance: InstanceView) -> None:
    fleet = FakeFleet([host], [instance, view_of(an_instance("other"))])

    update = parsed(MonitorMessages(fleet, None, lambda: NOW, boundary=STRICT).at(1).text.encode())
    log = ChangeLog()
    source = InstanceSource(fleet, secrets=True, boundary=STRICT)
    await source.start(lambda: None)
    log.update(source.candidates())
    instances = parsed(TopicChannel(TopicFilter("instances"), log).state().message.text.encode())
    machines = ChangeLog()
    host_source = HostSource(fleet, lambda: NOW, STRICT)
    await host_source.start(lambda: None)
    machines.update(host_source.candidates())
    hosts = parsed(TopicChannel(TopicFilter("hosts"), machines).state().message.text.encode())

    assert len(update["data"]["instances"]) == 2
    assert len(instances["entries"]) == 2
    assert list(hosts["entries"]) == ["h1"]


@given(drawn_hosts(), drawn_instances())
def test_any_instance_is_shown_alone(host: HostView, instance: InstanceView) -> None:
    period = Period(NOW - timedelta(hours=1), NOW)

    shown = [
        stream.instance_entry(instance, host, secrets=False),
        vm_state(instance, host),
        vm_metrics(instance, host, period),
        list_templates([], [host]),
    ]

    assert parsed(msgspec.json.encode(shown[:3]))


@given(drawn_hosts(), drawn_instances())
def test_any_instance_and_host_is_in_the_metrics(host: HostView, instance: InstanceView) -> None:
    fresh = replace(host, sample=host.sample or a_host_view().sample, sample_age_s=0.0)
    fleet = FakeFleet(
        [fresh, a_host_view("h2")], [instance, view_of(an_instance("other"), host="h2")]
    )
    telemetry = Telemetry(fleet)

    text = b"".join(exposition(subjects(fleet, ["h1", "h2"], STRICT), STRICT)).decode()
    own = telemetry.text().decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    names = {sample.labels["name"] for each in families.values() for sample in each.samples}
    assert "other" in names
    gauges = {family.name: family for family in text_string_to_metric_families(own)}
    told_of = {sample.labels["host"] for sample in gauges["lxdfleet_host_online"].samples}
    assert told_of == {"h1", "h2"}
    assert not any(each.value for each in gauges["lxdfleet_entries_not_rendered"].samples)


@given(any_of(Operation), st.sampled_from(["zh", "en"]))
def test_any_operation_is_shown(operation: Operation, language: Any) -> None:
    shown = parsed(encoded_operation(operation, lambda each: view(each, language), STRICT))
    headers = addresses(operation)

    assert shown["state"] == operation.state
    assert all(text.isascii() and text.isprintable() for text in headers.values())


@given(any_of(Snapshot), st.text(max_size=50))
def test_any_snapshot_is_shown(snapshot: Snapshot, description: str) -> None:
    shown = parsed(msgspec.json.encode(vm_snapshot(DescribedSnapshot(snapshot, description))))

    assert shown["id"] == snapshot.name
    assert "error" not in shown


@given(any_of(Heartbeat))
async def test_any_heartbeat_gives_a_host_that_can_be_shown(beat: Heartbeat) -> None:
    fleet = FleetView(FakeClock().clock, ready_after_s=0)
    fleet.apply("h1", beat)
    fleet.apply("h1", an_inventory(an_instance(), epoch=beat.epoch, sequence=beat.sequence))
    log = ChangeLog()

    source = HostSource(fleet, lambda: NOW, STRICT)
    await source.start(lambda: None)
    log.update(source.candidates())

    [entry] = log.current()
    assert parsed(entry.text or b"")["host"] == "h1"
