"""What the gateway tells Prometheus of itself and of the fleet."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.fleet.memory_budget import LeftOut
from services.gateway.telemetry import Telemetry
from shared.contracts.errors import HostUnreachable
from shared.contracts.operations import Kind, State
from shared.contracts.status import Status
from tests.support.builders import an_operation
from tests.support.gateway import FakeFleet
from tests.support.views import a_host_view, a_view


def told(telemetry: Telemetry) -> dict[str, float]:
    """Return every value, by the series' name and its labels' values."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(telemetry.text().decode())
        for sample in family.samples
    }


def test_the_fleets_size_is_counted() -> None:
    hosts = [a_host_view("h1"), a_host_view("h2", online=False), a_host_view("h3")]
    statuses = ["Running", "Running", "Stopped", "Frozen", "Ready", "Exploded", "Gone"]
    instances = [a_view(f"i{number}", status=status) for number, status in enumerate(statuses)]

    values = told(Telemetry(FakeFleet(hosts, instances)))

    assert values["lxdfleet_hosts online"] == 2
    assert values["lxdfleet_hosts offline"] == 1
    named = {key: value for key, value in values.items() if key.startswith("lxdfleet_instances ")}
    assert named == {f"lxdfleet_instances {status}": 0 for status in Status} | {
        "lxdfleet_instances Running": 2,
        "lxdfleet_instances Stopped": 1,
        "lxdfleet_instances Frozen": 1,
        "lxdfleet_instances Ready": 1,
        "lxdfleet_instances Other": 2,
    }


def test_each_host_is_told_of() -> None:
    host = a_host_view("h1", sample_age_s=2.5, journal_length=7, lxd_connected=False)
    host = replace(host, left_out=LeftOut(instances=3))

    values = told(Telemetry(FakeFleet([host])))

    assert values["lxdfleet_host_online h1"] == 1
    assert values["lxdfleet_host_lxd_connected h1"] == 0
    assert values["lxdfleet_sample_age_seconds h1"] == 2.5
    assert values["lxdfleet_journal_length h1"] == 7
    assert values["lxdfleet_host_instances_left_out h1"] == 3
    assert values["lxdfleet_host_images_left_out h1"] == 0
    assert values["lxdfleet_host_cpu_ratio h1"] == pytest.approx(0.352)


def test_what_is_unknown_of_a_host_is_absent() -> None:
    unheard = a_host_view("h1", sample=None, sample_age_s=None, journal_length=None)

    values = told(Telemetry(FakeFleet([unheard])))

    absent = ("sample_age_seconds", "journal_length", "host_cpus", "host_memory_used_bytes")
    assert not {f"lxdfleet_{name} h1" for name in absent} & values.keys()


def test_the_age_of_old_figures_is_told_but_not_the_figures() -> None:
    values = told(Telemetry(FakeFleet([a_host_view("h1", sample_age_s=600.0)])))

    assert values["lxdfleet_sample_age_seconds h1"] == 600
    assert "lxdfleet_host_cpu_ratio h1" not in values


def test_operations_are_counted_by_kind_and_outcome() -> None:
    telemetry = Telemetry(FakeFleet())

    telemetry.operations.ended(an_operation(kind=Kind.START, state=State.DONE), 0.2)
    telemetry.operations.ended(an_operation(kind=Kind.START, state=State.FAILED), 4.0)

    values = told(telemetry)
    assert values["lxdfleet_operations_total start done"] == 1
    assert values["lxdfleet_operation_seconds_count start done"] == 1
    assert values["lxdfleet_operation_seconds_sum start failed"] == 4


async def test_calls_are_timed_by_method_and_outcome() -> None:
    telemetry = Telemetry(FakeFleet())

    async def call(host: str, method: str, args: list[object]) -> object:
        if host == "away":
            raise HostUnreachable(host)
        return args

    timed = telemetry.instrument(call)
    answer = await timed("h1", "resolve", ["op-1"])
    with pytest.raises(HostUnreachable):
        await timed("away", "submit", [])

    assert answer == ["op-1"]
    values = told(telemetry)
    assert values["lxdfleet_rpc_seconds_count resolve answered"] == 1
    assert values["lxdfleet_rpc_seconds_count submit host_unreachable"] == 1
    assert "op-1" not in telemetry.text().decode()


async def test_a_call_that_its_caller_gives_up_is_no_answer() -> None:
    telemetry = Telemetry(FakeFleet())

    async def call(host: str, method: str, args: list[object]) -> object:
        return await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(telemetry.instrument(call)("h1", "submit", []), 0.01)

    assert told(telemetry)["lxdfleet_rpc_seconds_count submit given_up"] == 1


def test_viewers_are_counted_while_they_watch() -> None:
    telemetry = Telemetry(FakeFleet())

    with telemetry.track_client("monitor"), telemetry.track_client("monitor"):
        during = told(telemetry)
    telemetry.count_dropped_client("monitor")

    assert during["lxdfleet_websocket_clients monitor"] == 2
    assert during["lxdfleet_websocket_clients_dropped_total monitor"] == 0
    assert told(telemetry)["lxdfleet_websocket_clients monitor"] == 0
    assert told(telemetry)["lxdfleet_websocket_clients_dropped_total monitor"] == 1
