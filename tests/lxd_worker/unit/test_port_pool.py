"""Which ports a host gives out, as tables."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from services.lxd_worker.creation.port_pool import (
    HostPorts,
    NatPool,
    assign_forwards,
    assign_ports,
    ports_in_use,
    ports_of,
)
from services.lxd_worker.instances.devices import Devices
from shared.contracts.errors import FleetError, InsufficientResources, InvalidInput, PortInUse
from shared.contracts.instance_config import Forward
from shared.contracts.instances import Proxy

POOL = NatPool("h1", "203.0.113.7", ssh=((2201, 2203),), ports=((3000, 3009), (4000, 4099)))
NONE: HostPorts = frozenset()


def tcp(*ports: int) -> HostPorts:
    return frozenset(("tcp", port) for port in ports)


def listens(devices: Devices) -> dict[str, str]:
    return {name: device["listen"].removeprefix("tcp:") for name, device in devices.items()}


def changed(*forwards: Forward, taken: HostPorts = NONE, own: HostPorts = NONE) -> dict[str, str]:
    return listens(assign_forwards(POOL, forwards, taken=taken, own=own))


def test_a_new_instance_gets_the_first_free_ports() -> None:
    devices = assign_ports(POOL, ssh=True, ports=3, taken=tcp(2201, 3001))

    assert devices == {
        "ssh": {
            "type": "proxy",
            "listen": "tcp:203.0.113.7:2202",
            "connect": "tcp:127.0.0.1:22",
        },
        "forward-0": {
            "type": "proxy",
            "listen": "tcp:203.0.113.7:3002-3004",
            "connect": "tcp:127.0.0.1:3002-3004",
        },
    }


@pytest.mark.parametrize(
    ("ssh", "ports", "expected"),
    [
        (False, 0, {}),
        (True, 0, {"ssh": "203.0.113.7:2201"}),
        (False, 1, {"forward-0": "203.0.113.7:3000"}),
        (False, 10, {"forward-0": "203.0.113.7:3000-3009"}),
        (False, 11, {"forward-0": "203.0.113.7:4000-4010"}),
    ],
)
def test_a_range_lies_within_one_range_of_the_pool(
    ssh: bool, ports: int, expected: dict[str, str]
) -> None:
    assert listens(assign_ports(POOL, ssh=ssh, ports=ports, taken=NONE)) == expected


def test_a_port_that_udp_holds_is_free_for_tcp() -> None:
    devices = assign_ports(POOL, ssh=False, ports=1, taken=frozenset({("udp", 3000)}))

    assert listens(devices) == {"forward-0": "203.0.113.7:3000"}


def test_an_address_of_ipv6_is_written_as_lxd_wants_it() -> None:
    pool = NatPool("h1", "2001:db8::7", ssh=((2201, 2201),))

    assert listens(assign_ports(pool, ssh=True, ports=0, taken=NONE)) == {
        "ssh": "[2001:db8::7]:2201"
    }


@pytest.mark.parametrize(
    ("ssh", "ports", "taken", "values"),
    [
        (True, 0, tcp(2201, 2202, 2203), ("h1", "ports", "1", "0")),
        (False, 101, NONE, ("h1", "ports", "101", "100")),
        (False, 95, tcp(4010), ("h1", "ports", "95", "89")),
    ],
)
def test_a_pool_without_enough_ports_in_a_row_gives_none(
    ssh: bool, ports: int, taken: HostPorts, values: tuple[str, ...]
) -> None:
    with pytest.raises(InsufficientResources) as refusal:
        assign_ports(POOL, ssh=ssh, ports=ports, taken=taken)

    assert refusal.value.values == values


def test_a_host_without_a_pool_gives_no_ports() -> None:
    with pytest.raises(InvalidInput):
        assign_ports(NatPool("h1"), ssh=True, ports=0, taken=NONE)


def test_forwards_are_named_by_their_order_and_the_one_to_ssh_by_that() -> None:
    found = changed(
        Forward(connect=80, listen=3005),
        Forward(connect=22),
        Forward(connect=8000, count=2),
    )

    assert found == {
        "forward-0": "203.0.113.7:3005",
        "ssh": "203.0.113.7:2201",
        "forward-1": "203.0.113.7:3000-3001",
    }


def test_a_port_that_is_chosen_is_none_that_is_asked_for() -> None:
    found = changed(Forward(connect=80), Forward(connect=443, listen=3000))

    assert sorted(found.values()) == ["203.0.113.7:3000", "203.0.113.7:3001"]


def test_an_instance_may_lead_its_ports_elsewhere_also_those_beyond_the_pool() -> None:
    found = changed(
        Forward(connect=80, listen=8080),
        Forward(connect=81, listen=3000),
        taken=tcp(8080, 3000),
        own=tcp(8080, 3000),
    )

    assert found == {"forward-0": "203.0.113.7:8080", "forward-1": "203.0.113.7:3000"}


def test_forwards_of_udp_stay_udp() -> None:
    devices = assign_forwards(POOL, [Forward(connect=53, protocol="udp")], taken=NONE, own=NONE)

    assert devices["forward-0"]["listen"] == "udp:203.0.113.7:3000"
    assert devices["forward-0"]["connect"] == "udp:127.0.0.1:53"


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ([{"connect": 80, "listen": 3000}], PortInUse),
        ([{"connect": 80, "listen": 2999, "count": 2}], InvalidInput),
        ([{"connect": 80, "listen": 22}], InvalidInput),
        ([{"connect": 80, "protocol": "sctp"}], InvalidInput),
        ([{"connect": 65535, "count": 2}], InvalidInput),
        ([{"connect": 80, "listen": 3005}, {"connect": 81, "listen": 3005}], PortInUse),
    ],
)
def test_what_is_not_to_be_had_is_refused(
    wanted: list[dict[str, Any]], error: type[FleetError]
) -> None:
    with pytest.raises(error):
        changed(*(Forward(**one) for one in wanted), taken=tcp(3000))


@pytest.mark.parametrize(
    ("endpoint", "ports"),
    [
        ("tcp:0.0.0.0:80", [("tcp", 80)]),
        ("udp:[::]:53-54", [("udp", 53), ("udp", 54)]),
        ("tcp:10.0.0.1:80,443-444", [("tcp", 80), ("tcp", 443), ("tcp", 444)]),
        ("unix:/run/web.sock", []),
        ("tcp:0.0.0.0:65535-99999", [("tcp", 65535)]),
        ("tcp:0.0.0.0:1-999999999999,7", [("tcp", 7)]),
        ("tcp:0.0.0.0:" + "9" * 5000, []),
        ("", []),
    ],
)
def test_a_proxy_holds_the_ports_that_it_listens_on(
    endpoint: str, ports: list[tuple[str, int]]
) -> None:
    assert ports_of([a_proxy(endpoint)]) == frozenset(ports)


def a_proxy(listen: str, **options: str) -> Proxy:
    return Proxy(device="web", listen=listen, connect="tcp:127.0.0.1:80", options=options)


@pytest.mark.parametrize("inside", ["instance", "guest", "container"])
def test_a_proxy_that_listens_inside_its_instance_holds_no_port_of_the_host(inside: str) -> None:
    assert ports_of([a_proxy("tcp:127.0.0.1:3000", bind=inside)]) == frozenset()


def test_a_port_that_the_host_nats_is_held_though_nothing_listens() -> None:
    natted = a_proxy("tcp:203.0.113.7:3000", bind="host", nat="true")

    assert ports_of([natted]) == frozenset({("tcp", 3000)})


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
TCP = (
    "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
    "   1: 0100007F:9C40 0100007F:1538 01 00000000:00000000 00:00000000 00000000     0\n"
)
UDP6 = (
    "  10: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07"
    " 00000000:00000000 00:00000000 00000000     0\n"
)


def test_each_ports_protocol_is_that_of_its_list(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEADER + TCP)
    (tmp_path / "udp").write_text(HEADER)
    (tmp_path / "udp6").write_text(HEADER + UDP6)

    assert ports_in_use(tmp_path) == {("tcp", 22), ("tcp", 40000), ("udp", 53)}


@pytest.mark.attack
def test_a_line_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_bytes(HEADER.encode() + b"\xff\n   0: x:y\n\n" + TCP.encode())

    assert ports_in_use(tmp_path) == {("tcp", 22), ("tcp", 40000)}


def test_a_program_of_this_machine_holds_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ("tcp", server.getsockname()[1]) in ports_in_use()
