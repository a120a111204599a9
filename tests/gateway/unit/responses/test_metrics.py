from __future__ import annotations

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.metrics import AT_ONCE, exposition, subjects
from shared.contracts.samples import InstanceSample, MemoryParts
from tests.support.builders import a_documented_instance, an_instance_sample
from tests.support.gateway import FakeFleet
from tests.support.views import MEASURED, a_host_view, a_measured_view, a_view, view_of

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def text(*instances: InstanceView, hosts: tuple[HostView, ...] = (a_host_view(),)) -> str:
    fleet = FakeFleet(list(hosts), list(instances))
    return b"".join(exposition(subjects(fleet, fleet.host_ids()))).decode()


def series(exposed: str) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }


def values(sample: InstanceSample) -> dict[str, float]:
    """Return the values of an instance with this sample, by name and what else tells them apart."""
    common = {"host", "name", "project", "type"}
    return {
        " ".join(
            [name, *(value for label, value in labels if value and label not in common)]
        ): value
        for (name, labels), value in series(text(a_view(sample=sample))).items()
    }


def test_every_measured_value_is_a_series_of_lxds_name() -> None:
    assert values(MEASURED) == {
        "lxd_cpu_seconds_total 0 system": 3.5,
        "lxd_cpu_seconds_total 0 user": 12.25,
        "lxd_disk_read_bytes_total vda": 20971520,
        "lxd_disk_reads_completed_total vda": 640,
        "lxd_disk_written_bytes_total vda": 41943040,
        "lxd_disk_writes_completed_total vda": 1280,
        "lxd_filesystem_avail_bytes /": 8 * 2**30,
        "lxd_filesystem_free_bytes /": 8 * 2**30,
        "lxd_filesystem_size_bytes /": 10 * 2**30,
        "lxd_memory_Active_anon_bytes": 100,
        "lxd_memory_Active_bytes": 120,
        "lxd_memory_Active_file_bytes": 20,
        "lxd_memory_Cached_bytes": 1,
        "lxd_memory_Dirty_bytes": 5,
        "lxd_memory_Inactive_anon_bytes": 300,
        "lxd_memory_Inactive_bytes": 340,
        "lxd_memory_Inactive_file_bytes": 40,
        "lxd_memory_Mapped_bytes": 4,
        "lxd_memory_MemAvailable_bytes": 256 * 2**20 + 1,
        "lxd_memory_MemFree_bytes": 256 * 2**20,
        "lxd_memory_MemTotal_bytes": 512 * 2**20,
        "lxd_memory_RSS_bytes": 2,
        "lxd_memory_Shmem_bytes": 3,
        "lxd_memory_Swap_bytes": 7,
        "lxd_memory_Unevictable_bytes": 8,
        "lxd_memory_Writeback_bytes": 6,
        "lxd_network_receive_bytes_total eth0": 11,
        "lxd_network_receive_drop_total eth0": 17,
        "lxd_network_receive_errs_total eth0": 15,
        "lxd_network_receive_packets_total eth0": 13,
        "lxd_network_transmit_bytes_total eth0": 12,
        "lxd_network_transmit_drop_total eth0": 18,
        "lxd_network_transmit_errs_total eth0": 16,
        "lxd_network_transmit_packets_total eth0": 14,
        "lxd_procs_total": 3,
    }


def test_what_is_unknown_has_no_series_and_is_never_zero() -> None:
    nothing = InstanceSample(name="test1", uuid="uuid-test1")

    assert values(nothing) == {}


def test_cpu_time_that_is_known_as_a_sum_only_is_of_no_mode_but_the_total() -> None:
    total = {"lxd_cpu_seconds_total 0 total": 1.5}

    sums = values(an_instance_sample(cpu_ns=1_500_000_000))
    parts = values(msgspec.structs.replace(MEASURED, cpu_ns=15_750_000_000))

    assert total.items() <= sums.items()
    assert not total.keys() & parts.keys()


def test_traffic_that_is_known_as_a_sum_only_is_of_no_device_and_left_out() -> None:
    exposed = text(
        a_view(sample=an_instance_sample(network_rx=11, network_tx=12, disk_read=13, disk_write=0))
    )

    assert not [name for name, _ in series(exposed) if "network" in name or "disk" in name]


def test_a_zero_that_was_measured_is_a_value() -> None:
    assert values(an_instance_sample(memory=MemoryParts(swap=0)))["lxd_memory_Swap_bytes"] == 0


def test_more_memory_in_use_than_allowed_leaves_none_free() -> None:
    sample = an_instance_sample(memory_used=2, memory_total=1)

    assert values(sample)["lxd_memory_MemFree_bytes"] == 0


def test_labels_are_lxds_and_the_host() -> None:
    exposed = text(a_view("web", project="shop", sample=an_instance_sample("web")))

    [labels] = [dict(labels) for name, labels in series(exposed) if name == "lxd_procs_total"]
    assert labels == {"host": "h1", "name": "web", "project": "shop", "type": "container"}


def test_namesakes_of_two_hosts_and_projects_are_told_apart() -> None:
    web = a_documented_instance("web")
    shop = a_documented_instance("web", project="shop")

    exposed = text(
        view_of(web, host="h1"),
        view_of(shop, host="h1"),
        view_of(web, host="h2"),
        hosts=(a_host_view("h1"), a_host_view("h2")),
    )

    assert len([name for name, _ in series(exposed) if name == "lxd_procs_total"]) == 3
    assert exposed.count("# TYPE lxd_procs_total gauge") == 1


def test_a_family_is_announced_once_however_many_instances_have_it() -> None:
    many = [a_view(f"i{number}") for number in range(AT_ONCE + 1)]

    exposed = text(*many)

    assert exposed.count("# TYPE lxd_procs_total gauge\n") == 1
    assert exposed.count("\nlxd_procs_total{") == AT_ONCE + 1


@pytest.mark.parametrize("age_s", [None, 15.1])
def test_an_old_sample_is_no_series(age_s: float | None) -> None:
    silent = a_host_view(sample_age_s=age_s)

    assert text(a_view(), hosts=(silent,)) == ""


def test_a_sample_is_good_until_three_of_its_intervals_are_over() -> None:
    assert text(a_view(), hosts=(a_host_view(sample_age_s=14.9),))


def test_a_stopped_instance_has_no_series() -> None:
    assert text(a_view(status="Stopped")) == ""


def test_no_text_of_a_host_can_break_out_of_its_label() -> None:
    exposed = text(a_measured_view(device='a"b\\c\nd'))

    devices = {dict(labels).get("device") for _, labels in series(exposed)}
    assert 'a"b\\c\nd' in devices


def test_no_secret_and_no_description_is_told() -> None:
    exposed = text(a_view(description="web 20001 password123 30000"))

    assert exposed
    assert "password123" not in exposed
    assert "20001" not in exposed
