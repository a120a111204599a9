"""From LXD's words to a reading: containers, virtual machines, and what may be absent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.metrics.sampler.kernel_counters import Details, DiskTraffic, Space, Traffic, Usage
from services.metrics.sampler.lxd_instances import InstanceWithState, Nic
from services.metrics.sampler.reading import (
    HostReading,
    InstanceReading,
    Pools,
    reading_from_lxd,
    with_usage,
)
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.samples import Address, Interface, MemoryParts

HOST = HostReading(
    cpus=4,
    cpu_busy_s=10.0,
    cpu_total_s=100.0,
    memory_total=8 << 30,
    memory_used=1 << 30,
    root_space=Space(used=1, total=2),
    load_1=0.5,
)
POOLS = Pools({"default": Space(used=10, total=1000), "fast": Space(used=1, total=50)}, "default")
FEW = Details(cpu_user_s=1.0, memory=MemoryParts(rss=5))
ROOT = {"type": "disk", "path": "/", "pool": "default"}


def described(state: dict[str, Any] | None = None, **fields: Any) -> InstanceWithState:
    plain = {
        "name": "web",
        "type": "container",
        "project": "default",
        "status": "Running",
        "expanded_config": {"volatile.uuid": "u-1"},
        "expanded_devices": {"root": ROOT},
        "state": {"pid": 42, "status": "Running", **(state or {})},
    }
    return msgspec.convert(plain | fields, InstanceWithState)


def reading(state: dict[str, Any] | None = None, **fields: Any) -> InstanceReading:
    one = reading_from_lxd(100.0, described(state, **fields), HOST, POOLS, Dropped())
    assert one is not None
    return one


def traffic(one: InstanceReading) -> tuple[int, int] | None:
    return (one.network.received, one.network.sent) if one.network else None


def test_a_running_container_is_read() -> None:
    one = reading(
        {
            "processes": 7,
            "cpu": {"usage": 5_000},
            "memory": {"usage": 123, "usage_peak": 456},
            "disk": {"root": {"usage": 99}},
        }
    )

    assert (one.project, one.name, one.uuid, one.pid) == ("default", "web", "u-1", 42)
    assert (one.cpu_ns, one.cpus, one.processes) == (5_000, 4, 7)
    assert (one.memory_used, one.memory_total) == (123, 8 << 30)
    assert (one.disk_used, one.disk_total) == (99, 1000)


def test_what_does_not_run_is_not_in_the_reading() -> None:
    stopped = described({"pid": 0})
    stateless = msgspec.structs.replace(described(), state=None)

    assert reading_from_lxd(0.0, stopped, HOST, POOLS, Dropped()) is None
    assert reading_from_lxd(0.0, stateless, HOST, POOLS, Dropped()) is None


def test_a_virtual_machine_whose_agent_is_silent_measures_nothing_but_its_traffic() -> None:
    network = {"eth0": {"type": "broadcast", "counters": {"bytes_received": 5, "bytes_sent": 6}}}

    one = reading(
        {
            "processes": -1,
            "cpu": {"usage": 0},
            "memory": {"usage": 0},
            "disk": None,
            "network": network,
        },
        type="virtual-machine",
    )

    assert (one.cpu_ns, one.memory_used, one.processes, one.disk_used) == (None,) * 4
    assert traffic(one) == (5, 6)
    assert (one.cpus, one.memory_total) == (1, 1 << 30)
    assert not one.counted_since_start


def test_traffic_is_that_of_all_interfaces_but_loopback() -> None:
    network = {
        "eth0": {"type": "broadcast", "counters": {"bytes_received": 10, "bytes_sent": 1}},
        "eth1": {"type": "broadcast", "counters": {"bytes_received": 20, "bytes_sent": 2}},
        "lo": {"type": "loopback", "counters": {"bytes_received": 999, "bytes_sent": 999}},
    }

    one = reading({"network": network})

    assert traffic(one) == (30, 3)


def test_traffic_and_addresses_are_unknown_where_lxd_tells_of_no_network() -> None:
    one = reading({"network": None})

    assert traffic(one) is None
    assert one.addresses == ()


def test_all_addresses_are_kept_with_their_scope() -> None:
    nics = {"eth0": {"type": "nic"}, "root": ROOT}
    network = {
        "eth0": {
            "addresses": [
                {"family": "inet", "address": "10.0.0.9", "netmask": "24", "scope": "global"},
                {"family": "inet6", "address": "fe80::1", "netmask": "64", "scope": "link"},
            ]
        },
        "eth1": {"addresses": None},
    }

    one = reading({"network": network}, expanded_devices=nics)

    assert one.addresses == (
        Address(device="eth0", family="inet", address="10.0.0.9", scope="global"),
        Address(device="eth0", family="inet6", address="fe80::1", scope="link"),
    )


@pytest.mark.parametrize(
    ("disk", "device", "used", "total"),
    [
        ({}, ROOT, None, 1000),  # btrfs without a size
        (None, ROOT, None, 1000),
        ({"root": {"usage": 7}}, ROOT | {"size": "500B"}, 7, 500),
        ({"root": {"usage": 7, "total": 300}}, ROOT | {"size": "500B"}, 7, 300),
        ({"root": {"usage": -1}}, ROOT, None, 1000),
        ({"root": {"usage": 0}}, ROOT, 0, 1000),
        ({"data": {"usage": 7}}, ROOT, None, 1000),  # another disk's use is not the root's
        ({}, ROOT | {"pool": "fast"}, None, 50),
        ({}, ROOT | {"pool": "broken"}, None, None),
    ],
)
def test_disk_is_the_root_device_s_use_and_its_quota_or_pool(
    disk: dict[str, Any] | None, device: dict[str, str], used: int | None, total: int | None
) -> None:
    one = reading({"disk": disk}, expanded_devices={"root": device})

    assert (one.disk_used, one.disk_total) == (used, total)


def test_the_root_device_may_have_any_name() -> None:
    one = reading({"disk": {"main": {"usage": 3}}}, expanded_devices={"main": ROOT})

    assert one.disk_used == 3


def test_namesakes_in_two_projects_are_two_instances() -> None:
    assert reading().identity == ("default", "web")
    assert reading(project="other").identity == ("other", "web")


def test_each_network_device_is_known_by_its_name_inside_and_its_end_on_the_host() -> None:
    config = {
        "volatile.eth0.host_name": "veth7",
        "volatile.eth0.hwaddr": "00:16:3e:00:00:07",
        "volatile.root.host_name": "never",
        "volatile.second.name": "eth1",
        "volatile.third.name": "not this",
    }
    nics = {
        "eth0": {"type": "nic"},
        "second": {"type": "nic"},
        "third": {"type": "nic", "name": "lan", "hwaddr": "00:16:3e:00:00:09"},
        "root": ROOT,
    }

    one = reading(expanded_config=config, expanded_devices=nics)

    assert one.nics == (
        Nic("eth0", "veth7", "00:16:3e:00:00:07"),
        Nic("eth1", ""),
        Nic("lan", "", "00:16:3e:00:00:09"),
    )


def test_each_interface_is_told_with_its_packets_errors_and_losses() -> None:
    counters = {
        "bytes_received": 10,
        "bytes_sent": 20,
        "packets_received": 1,
        "packets_sent": 2,
        "errors_received": 3,
        "errors_sent": 4,
        "packets_dropped_inbound": 5,
        "packets_dropped_outbound": 6,
    }

    one = reading({"network": {"eth0": {"type": "broadcast", "counters": counters}}})

    assert one.network is not None
    assert one.network.interfaces == (
        Interface(
            device="eth0",
            rx_bytes=10,
            tx_bytes=20,
            rx_packets=1,
            tx_packets=2,
            rx_errors=3,
            tx_errors=4,
            rx_dropped=5,
            tx_dropped=6,
        ),
    )


def test_what_cgroups_count_replaces_what_lxd_told_earlier() -> None:
    told = reading({"processes": 7, "cpu": {"usage": 5}, "memory": {"usage": 123}})
    network = Traffic(1, 2, frozenset({"veth7"}))

    one = with_usage(105.0, told, Usage(9, 200, 8, DiskTraffic(3, 4), FEW), network)

    assert (told.source, told.at_s) == ("lxd", 100.0)
    assert (one.source, one.at_s) == ("cgroup", 105.0)
    assert (one.cpu_ns, one.memory_used, one.processes) == (9, 200, 8)
    assert (one.disk, one.network, one.details) == (DiskTraffic(3, 4), network, FEW)
    assert one.run == told.run


def test_what_cgroups_do_not_count_is_unknown_but_for_processes_that_lxd_counts_itself() -> None:
    told = reading({"processes": 7, "cpu": {"usage": 5}, "memory": {"usage": 123}})

    one = with_usage(105.0, told, Usage(9, None, None, None), None)

    assert (one.memory_used, one.disk, one.network) == (None, None, None)
    assert one.processes == 7
