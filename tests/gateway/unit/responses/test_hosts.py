from __future__ import annotations

import msgspec

from services.gateway.fleet.memory_budget import LeftOut
from services.gateway.responses import hosts as shown
from tests.support.builders import GIB, a_host_sample
from tests.support.views import a_host_view


def test_several_hosts_are_summed_and_percentages_weighted_by_size() -> None:
    small = a_host_sample(cpu_cores=4, cpu_percent=100.0, memory_total=4 * GIB, memory_used=4 * GIB)
    large = a_host_sample(cpu_cores=12, cpu_percent=0.0, memory_total=12 * GIB, memory_used=0)
    hosts = [a_host_view("h1", sample=small), a_host_view("h2", sample=large)]

    info = shown.host_information(hosts)

    assert (info.cpu_cores, info.cpu_percent) == (16, 25.0)
    assert (info.memory_total, info.memory_used, info.memory_percent) == (16384, 4096, 25.0)
    assert (info.disk_total, info.hosts) == (1000, 2)


def test_a_host_that_is_away_counts_as_it_was_and_marks_the_sum_stale() -> None:
    absent = a_host_view("h2", online=False, sample_age_s=75.0)

    info = shown.host_information([a_host_view("h1"), absent])

    assert (info.cpu_cores, info.stale, info.age_s) == (8, True, 75)


def test_without_any_measurement_all_figures_are_zero_and_unknown() -> None:
    info = shown.host_information([])

    assert {getattr(info, name) for name in shown.FIGURES} == {0}
    assert info.unknown == list(shown.FIGURES)


def test_a_host_says_what_of_it_is_not_shown() -> None:
    view = shown.host_view(a_host_view(left_out=LeftOut(instances=2, images=1)))

    assert msgspec.to_builtins(view)["left_out"] == {
        "instances": 2,
        "samples": 0,
        "images": 1,
        "protections": 0,
    }


def test_a_host_says_what_it_is_and_when_it_was_heard_of() -> None:
    view = shown.host_view(a_host_view(lxd_connected=False, age_s=1.234, inventory_age_s=None))

    assert (view.host, view.online, view.lxd_connected, view.stale) == ("h1", True, False, True)
    assert (view.age_s, view.inventory_age_s) == (1.2, None)
