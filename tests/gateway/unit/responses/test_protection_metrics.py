"""What Prometheus is told of snapshots, and what it is not told."""

from __future__ import annotations

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.responses.protection_metrics import protection_metrics
from shared.contracts.events import PolicyRunChanged
from tests.support.builders import (
    a_heartbeat,
    a_protection,
    a_protection_report,
    a_run,
    an_instance,
    an_inventory,
)
from tests.support.clock import FakeClock

WEB, NEW = an_instance("web"), an_instance("new")
A_DAY_AGO = "2026-11-17T11:06:40Z"


def a_fleet(time: FakeClock, *hosts: str) -> FleetView:
    fleet = FleetView(time.clock, ready_after_s=0)
    for host in hosts:
        fleet.apply(host, a_heartbeat())
        fleet.apply(host, an_inventory(WEB, NEW))
    return fleet


def series(fleet: FleetView, boundary: ErrorBoundary | None = None) -> dict[str, float]:
    text = b"".join(protection_metrics(fleet, boundary or ErrorBoundary())).decode()
    return {
        " ".join([sample.name.removeprefix("lxdfleet_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_each_instance_that_a_host_reports_has_its_age_and_its_failures(time: FakeClock) -> None:
    fleet = a_fleet(time, "h1")
    web = a_protection(WEB, newest_good=A_DAY_AGO, failures=2)
    fleet.apply("h1", a_protection_report(web))
    fleet.apply("h1", PolicyRunChanged(run=a_run(pruned_count=3)))
    time.advance(60)

    assert series(fleet) == {
        "snapshot_age_seconds h1 default web": 86_460,
        "snapshot_failures h1 default web": 2,
        "instance_protection h1 protected": 1,
        "instance_protection h1 late": 0,
        "instance_protection h1 failing": 0,
        "instance_protection h1 unprotected": 1,
        "instance_protection h1 unknown": 0,
        "snapshot_plan_version h1": 12,
        "snapshot_clock_trusted h1": 1,
        "snapshot_report_age_seconds h1": 60,
        "snapshots_pruned_total h1": 3,
    }


def test_what_no_host_has_reported_has_no_series(time: FakeClock) -> None:
    values = series(a_fleet(time, "h1"))

    assert {name.split()[0] for name in values} == {"instance_protection"}
    assert values["instance_protection h1 unknown"] == 2


def test_the_age_goes_on_growing_while_the_host_is_away(time: FakeClock) -> None:
    fleet = a_fleet(time, "h1")
    fleet.apply("h1", a_protection_report(a_protection(WEB, newest_good=A_DAY_AGO)))

    time.advance(86_400)
    fleet.tick()

    assert not fleet.host("h1").online
    assert series(fleet)["snapshot_age_seconds h1 default web"] == 2 * 86_400


def test_while_the_fleet_is_not_known_there_is_nothing(time: FakeClock) -> None:
    assert series(FleetView(time.clock, ready_after_s=5)) == {}


def test_labels_that_no_scraper_would_read_cost_their_own_host_only(time: FakeClock) -> None:
    failures: list[EntrySubject] = []
    fleet = a_fleet(time, "h1", "h2")
    for host in ("h1", "h2"):
        fleet.apply(host, a_protection_report(a_protection(WEB, newest_good=A_DAY_AGO)))
    for record in fleet.protections.records_of("h1"):
        record.instance = msgspec.structs.replace(record.instance, name=7)

    values = series(fleet, ErrorBoundary(failures.append))

    assert failures == [EntrySubject("protection_metrics", "h1")]
    assert "snapshot_age_seconds h2 default web" in values
    assert "instance_protection h1 protected" in values


def test_a_scrape_is_done_in_steps_that_do_not_grow_with_the_fleet(time: FakeClock) -> None:
    few = a_fleet(time, "h1")
    many = a_fleet(time, *(f"h{number}" for number in range(50)))

    steps = [len(list(protection_metrics(fleet, ErrorBoundary()))) for fleet in (few, many)]

    assert steps[1] - steps[0] >= 49
