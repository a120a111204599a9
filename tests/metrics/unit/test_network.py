"""Whose traffic the counters of interfaces are."""

from __future__ import annotations

import os

import pytest

from services.metrics.sampler.kernel_counters import Traffic
from services.metrics.sampler.lxd_instances import Nic
from services.metrics.sampler.network import parse_net_dev, traffic_from_outside, traffic_of
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.samples import Interface
from shared.lxd.models import NetworkCounters

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo: 925912922  483490    0    0    0     0          0         0 925912922  483490    0    0
  eth0: 2312035234   69015    1    2    0     0          0         0  4734973   41202    3    4
veth1:99999999999      15    0    0    0     0          0         0     2362      17    0    0
"""
ETH0, ETH1 = Nic("eth0", "veth1"), Nic("eth1", "veth2")
LOSSY = NetworkCounters(
    bytes_received=1000,
    bytes_sent=2000,
    packets_received=10,
    packets_sent=20,
    errors_received=1,
    errors_sent=2,
    packets_dropped_inbound=3,
    packets_dropped_outbound=4,
)


def test_the_kernel_s_table_is_read() -> None:
    assert parse_net_dev(NET_DEV.encode(), Dropped()) == {
        "lo": NetworkCounters(925912922, 925912922, 483490, 483490, 0, 0, 0, 0),
        "eth0": NetworkCounters(
            bytes_received=2312035234,
            bytes_sent=4734973,
            packets_received=69015,
            packets_sent=41202,
            errors_received=1,
            errors_sent=3,
            packets_dropped_inbound=2,
            packets_dropped_outbound=4,
        ),
        "veth1": NetworkCounters(99999999999, 2362, 15, 17, 0, 0, 0, 0),
    }


def test_what_the_host_s_end_sends_is_what_the_instance_receives() -> None:
    host = {"veth1": LOSSY, "eth0": NetworkCounters(7, 7)}

    traffic = traffic_from_outside([ETH0], host, None, Dropped())

    assert traffic == Traffic(
        received=2000,
        sent=1000,
        ends=frozenset({"veth1"}),
        interfaces=(
            Interface(device="eth0", rx_bytes=2000, tx_bytes=1000, rx_packets=20, tx_packets=10),
        ),
    )


def test_errors_and_losses_of_a_pair_are_those_that_were_told_of_the_inside() -> None:
    told = traffic_of({"eth0": LOSSY, "docker0": NetworkCounters(1, 1)}, Dropped())
    host = {
        "veth1": NetworkCounters(5000, 6000, 50, 60, 9, 9, 9, 9),
        "veth2": NetworkCounters(0, 0),
    }

    traffic = traffic_from_outside([ETH0, ETH1], host, told, Dropped())

    assert traffic is not None
    eth0, eth1 = traffic.interfaces
    assert (eth0.rx_bytes, eth0.rx_packets) == (6000, 60)
    assert (eth0.rx_errors, eth0.tx_errors, eth0.rx_dropped, eth0.tx_dropped) == (1, 2, 3, 4)
    assert (eth1.rx_errors, eth1.tx_errors, eth1.rx_dropped, eth1.tx_dropped) == (None,) * 4


def test_several_interfaces_are_summed() -> None:
    host = {"veth1": NetworkCounters(1, 10), "veth2": NetworkCounters(2, 20)}

    traffic = traffic_from_outside([ETH0, ETH1], host, None, Dropped())

    assert traffic is not None
    assert (traffic.received, traffic.sent, traffic.ends) == (30, 3, frozenset(host))
    assert [each.device for each in traffic.interfaces] == ["eth0", "eth1"]


def test_an_end_that_is_not_on_the_host_makes_the_traffic_unknown() -> None:
    host = {"veth1": NetworkCounters(1, 10)}

    assert traffic_from_outside([ETH0, ETH1], host, None, Dropped()) is None
    assert traffic_from_outside([ETH0, Nic("eth1", "")], host, None, Dropped()) is None


def test_an_instance_without_a_network_device_has_no_traffic() -> None:
    traffic = traffic_from_outside([], {"eth0": NetworkCounters(7, 7)}, None, Dropped())

    assert traffic == Traffic(0, 0, frozenset())


def test_traffic_inside_is_that_of_all_but_loopback() -> None:
    inside = {"lo": NetworkCounters(9, 9), "eth0": LOSSY, "eth1": NetworkCounters(20, 2)}

    traffic = traffic_of(inside, Dropped())

    assert (traffic.received, traffic.sent) == (1020, 2002)
    assert traffic.ends == {"eth0", "eth1"}
    assert traffic.interfaces == (
        Interface(
            device="eth0",
            rx_bytes=1000,
            tx_bytes=2000,
            rx_packets=10,
            tx_packets=20,
            rx_errors=1,
            tx_errors=2,
            rx_dropped=3,
            tx_dropped=4,
        ),
        Interface(device="eth1", rx_bytes=20, tx_bytes=2),
    )


@pytest.mark.attack
@pytest.mark.parametrize("odd", [b"a\x1cb", b"\xff", "\u2028".encode(), b'"', b"\\", b"%"])
def test_an_interface_of_an_odd_name_is_one_line_among_others(odd: bytes) -> None:
    text = NET_DEV.encode() + odd + b": 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n"

    counters = parse_net_dev(text, Dropped())

    assert counters[os.fsdecode(odd)] == NetworkCounters(1, 3, 2, 4, 0, 0, 0, 0)
    assert len(counters) == len(parse_net_dev(NET_DEV.encode(), Dropped())) + 1


@pytest.mark.parametrize(
    "line", [b"x: 1 2 3", b"x: a b", b"x: " + b"18446744073709551615 " * 16, b"x: -1" + b" 0" * 15]
)
def test_a_line_of_no_counters_is_left_out_and_counted(line: bytes) -> None:
    dropped = Dropped()

    counters = parse_net_dev(NET_DEV.encode() + line + b"\n", dropped)

    assert counters == parse_net_dev(NET_DEV.encode(), Dropped())
    assert dropped.total() == 1


@pytest.mark.attack
def test_of_too_many_interfaces_the_configured_ones_are_told_and_all_are_summed() -> None:
    inside = {f"dummy{number}": NetworkCounters(1, 2) for number in range(500)} | {
        "eth0": NetworkCounters(3, 4)
    }
    dropped = Dropped()

    traffic = traffic_of(inside, dropped, first=["eth0"])

    assert (traffic.received, traffic.sent) == (503, 1004)
    assert traffic.interfaces[0].device == "eth0"
    assert len(traffic.interfaces) < 100
    assert dropped == {"too_many": 501 - len(traffic.interfaces)}


def test_a_sum_of_which_a_part_is_unknown_is_unknown() -> None:
    inside = {"eth0": NetworkCounters(1, 2), "eth1": NetworkCounters(-1, 2)}

    traffic = traffic_of(inside, Dropped())

    assert (traffic.received, traffic.sent) == (None, 4)
    assert [each.device for each in traffic.interfaces] == ["eth0"]


@pytest.mark.attack
def test_a_sum_beyond_all_bounds_is_unknown() -> None:
    inside = {"eth0": NetworkCounters(2**62, 2), "eth1": NetworkCounters(2**62, 2)}

    traffic = traffic_of(inside, Dropped())

    assert (traffic.received, traffic.sent) == (None, 4)
