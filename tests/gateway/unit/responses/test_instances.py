from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from services.gateway.responses import instances as shown
from shared.contracts.samples import Address, InstanceSample
from tests.support.builders import (
    GIB,
    MIB,
    a_documented_instance,
    a_host_sample,
    an_instance_sample,
)
from tests.support.views import a_host_view, a_view, an_offline_host

BARE = InstanceSample(name="test1", uuid="uuid-test1")


def address(device: str, text: str, *, family: str = "inet", scope: str = "global") -> Address:
    return Address(device=device, family=family, address=text, scope=scope)


def test_a_stopped_instance_does_not_show_the_sample_of_its_last_run() -> None:
    stopped = replace(a_view(), instance=a_documented_instance(status="Stopped"))

    use = shown.resources(stopped, a_host_view())

    assert use.memory_used == 0
    assert use.sampled_at_utc is None
    assert stopped.reachable.ipv4 is None


def test_an_unlimited_instance_has_its_hosts_totals() -> None:
    unlimited = a_view(status="Stopped", memory_limit=None, root_size=None)

    use = shown.resources(unlimited, a_host_view())

    assert (use.memory_total, use.disk_total) == (16 * 1024, 500 * 1024)


def test_what_was_not_measured_is_zero_and_named() -> None:
    use = shown.resources(a_view(sample=BARE), a_host_view())

    assert (use.cpu_percent, use.memory_used, use.memory_total) == (0.0, 0, 512)
    assert use.unknown == [
        "cpu_percent",
        "memory_used",
        "disk_used",
        "network_rx",
        "network_tx",
    ]


def test_nothing_is_null_when_neither_instance_nor_host_was_measured() -> None:
    instance = a_view(memory_limit=None, root_size=None, sample=BARE)

    use = shown.resources(instance, a_host_view(sample=None))

    numbers = {
        name: value
        for name, value in msgspec.to_builtins(use).items()
        if name not in {"unknown", "sampled_at_utc"}
    }
    assert set(numbers.values()) == {0}
    assert use.unknown == list(numbers)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ((), None),
        ((address("eth0", "10.0.0.1"),), "10.0.0.1"),
        ((address("docker0", "172.17.0.1"), address("eth0", "10.0.0.1")), "10.0.0.1"),
        ((address("enp5s0", "10.0.0.2"), address("enp6s0", "10.0.0.3")), "10.0.0.2"),
        ((address("eth0", "169.254.0.1", scope="link"), address("eth1", "10.0.0.4")), "10.0.0.4"),
        ((address("eth0", "fd42::1", family="inet6"),), None),
    ],
)
def test_the_address_is_the_first_global_one_and_eth0_goes_first(
    addresses: tuple[Address, ...], expected: str | None
) -> None:
    assert a_view(sample=an_instance_sample(addresses=addresses)).reachable.ipv4 == expected


def test_the_addresses_are_all_global_ones_and_eth0s_go_first() -> None:
    told = (
        address("wlan0", "10.0.0.9"),
        address("eth0", "fe80::1", family="inet6", scope="link"),
        address("eth0", "10.0.0.1"),
        address("eth0", "fd42::1", family="inet6"),
    )

    assert list(a_view(sample=an_instance_sample(addresses=told)).reachable.all) == [
        "10.0.0.1",
        "fd42::1",
        "10.0.0.9",
    ]


def test_an_instance_of_an_absent_host_says_how_old_it_is() -> None:
    info = shown.information(a_view(), an_offline_host(age_s=93.7), secrets=True)

    assert (info.host_online, info.age_s, info.stale) == (False, 93, True)


def test_an_instance_is_stale_while_its_lxd_does_not_answer() -> None:
    host = a_host_view(lxd_connected=False)

    info = shown.information(a_view(), host, secrets=True)

    assert (info.host_online, info.stale) == (True, True)


def test_without_the_right_to_secrets_passwords_are_masked_everywhere() -> None:
    detail = shown.detail(a_view(), a_host_view(), secrets=False)

    assert detail.root_password == "********"
    assert detail.info.description == "test1 20001 ******** 30000 30025"
    assert "password123" not in str(detail)


def test_an_instance_without_a_password_has_none_to_mask() -> None:
    plain = a_view(description="the shop")

    assert shown.detail(plain, a_host_view(), secrets=False).root_password is None


def test_the_live_stream_never_carries_a_password() -> None:
    assert "password123" not in str(shown.live(a_view(), a_host_view()))


def test_traffic_and_sizes_are_whole_mebibytes() -> None:
    sample = an_instance_sample(network_rx=1, memory_used=3 * MIB // 2, disk_used=GIB)

    use = shown.resources(a_view(sample=sample), a_host_view(sample=a_host_sample()))

    assert (use.network_rx, use.memory_used, use.disk_used) == (0, 2, 1024)
