"""Somebody paused an instance: address, memory, traffic and Prometheus series were gone.

LXD and its cgroup still told all of them. Any state but `Running` did that.
"""

from __future__ import annotations

import pytest

from services.gateway.fleet.view import FleetView
from services.gateway.responses import instances as shown
from services.gateway.responses.metrics import exposition, subjects
from services.gateway.responses.vms import vm
from services.lxd_worker.instances.description import InstanceDescription
from shared.contracts.status import Status, is_alive
from tests.support.builders import (
    a_change,
    a_heartbeat,
    a_sample,
    an_instance,
    an_inventory,
)
from tests.support.clock import FakeClock
from tests.support.gateway import FakeFleet
from tests.support.lxd_worker.observations import observation
from tests.support.views import a_host_view, view_of

ALIVE = [status for status in Status if is_alive(status)]


@pytest.fixture
def fleet() -> FleetView:
    """A view of a host with a running `web` that was measured."""
    fleet = FleetView(FakeClock().clock, ready_after_s=0)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(an_instance()))
    fleet.apply("h1", a_sample(an_instance()))
    return fleet


def test_all_but_a_stopped_one_is_alive() -> None:
    assert set(Status) - set(ALIVE) == {Status.STOPPED}
    assert is_alive("a word of a later LXD")


@pytest.mark.parametrize("status", ALIVE)
def test_what_was_measured_stays_when_the_state_changes(fleet: FleetView, status: str) -> None:
    fleet.apply("h1", a_change(an_instance(revision=2, status=status)))

    sample = fleet.instance("web").sample
    assert sample is not None
    assert sample.cpu_percent == 5.0


@pytest.mark.parametrize("status", ALIVE)
def test_what_is_measured_in_another_state_counts(fleet: FleetView, status: str) -> None:
    fleet.apply("h1", a_change(an_instance(revision=2, status=status)))
    fleet.apply("h1", a_sample(sequence=2))
    without = fleet.instance("web").sample

    fleet.apply("h1", a_sample(an_instance(), sequence=3))

    assert without is None
    assert fleet.instance("web").sample is not None


def test_what_was_measured_goes_when_it_is_stopped(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance(revision=2, status=Status.STOPPED)))
    fleet.apply("h1", a_sample(an_instance(), sequence=2))

    assert fleet.instance("web").sample is None


@pytest.mark.parametrize("status", ALIVE)
def test_both_apis_and_prometheus_show_it(status: str) -> None:
    one, host = view_of(an_instance(status=status)), a_host_view()

    assert shown.information(one, host, secrets=False).ipv4 == "10.0.0.100"
    assert vm(one, host, secrets=False).ip == "10.0.0.100"
    use = shown.resources(one, host)
    assert (use.memory_used, use.network_rx, use.unknown) == (256, 100, [])
    assert use.sampled_at_utc is not None
    measured = subjects(FakeFleet([host], [one]), [host.host])
    assert b"lxd_memory_" in b"".join(exposition(measured))


@pytest.mark.parametrize("status", ALIVE)
def test_the_worker_takes_none_of_them_for_stopped(status: str) -> None:
    assert not observation(status).stopped
    assert InstanceDescription(name="web", status=status).complete
