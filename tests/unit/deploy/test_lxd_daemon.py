from ipaddress import IPv4Network

from deploy.local import lxd_daemon

TABLE = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_routes_are_read_without_the_default_route() -> None:
    assert lxd_daemon.routes(TABLE) == [IPv4Network("192.0.2.0/24")]


def test_a_machine_without_routes_has_none() -> None:
    assert lxd_daemon.routes(TABLE.splitlines()[0]) == []


def test_a_bridge_takes_the_first_free_number() -> None:
    assert lxd_daemon.free_name("fleetbr", {"lo", "fleetbr0", "fleetbr2"}) == "fleetbr1"
