"""An instance that LXD tells odd things of, and what is read of it and of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.metrics.sampler.lxd_instances import InstanceWithState, instance_in
from shared.lxd.decoding import entries
from shared.lxd.models import InterfaceState, NetworkAddress, NetworkCounters

WEB: dict[str, Any] = {"name": "web", "type": "container", "state": {"pid": 42, "processes": 3}}


def read(**changes: object) -> InstanceWithState:
    return instance_in(json.dumps(WEB | changes).encode())


@pytest.mark.attack
@pytest.mark.parametrize("odd", [b"5", b"{}", b'{"name":"\\ud800"}', b'{"name":NaN}', b"[[]]"])
def test_an_odd_entry_leaves_the_others_as_they_are(odd: bytes) -> None:
    web = json.dumps(WEB).encode()

    first, nothing, last = map(instance_in, entries(b"[%s,%s,%s]" % (web, odd, web)))

    assert first == last == read()
    assert (nothing.name, nothing.unreadable) == ("", 1)


def test_of_an_odd_instance_is_read_what_is_as_it_should_be() -> None:
    network = {
        "eth0": {
            "addresses": [
                {"family": "inet", "address": "10.0.0.9", "scope": "global"},
                {"family": "inet", "address": 9},
            ],
            "counters": {"bytes_received": 5, "bytes_sent": "6"},
        },
        "eth1": 7,
    }

    web = read(state={"pid": 42, "processes": 1.5, "network": network}, expanded_config={"a": 1})

    assert web.state is not None
    assert (web.state.pid, web.state.processes) == (42, -1)
    assert web.state.network == {
        "eth0": InterfaceState(
            addresses=(NetworkAddress("inet", "10.0.0.9", "global"),),
            counters=NetworkCounters(bytes_received=5),
        )
    }
    assert web.unreadable == 5  # processes, an address, bytes_sent, eth1, a


def test_a_name_of_half_a_letter_is_read_with_a_sign_in_its_place() -> None:
    web = instance_in(json.dumps(WEB).encode().replace(b'"web"', b'"we\xc3"'))

    assert web.name == "we\ufffd"


@pytest.mark.attack
def test_of_an_instance_with_addresses_without_end_all_but_the_network_is_read() -> None:
    address = {"family": "inet6", "address": "fd42::1", "scope": "global"}
    network = {"eth0": {"addresses": [address] * 40_000}}

    web = read(state={"pid": 42, "processes": 3, "network": network})

    assert web.state is not None
    assert (web.state.pid, web.state.processes, web.state.network) == (42, 3, None)
    assert web.unreadable == 1


@pytest.mark.attack
def test_of_such_an_instance_that_is_odd_as_well_all_else_is_read() -> None:
    address = {"family": "inet6", "address": "fd42::1", "scope": "global"}
    network = {"eth0": {"addresses": [address] * 40_000}}

    web = read(state={"pid": 42, "processes": 1.5, "network": network})

    assert web.state is not None
    assert (web.name, web.state.pid, web.state.network) == ("web", 42, None)
    assert web.unreadable == 2


@pytest.mark.parametrize("state", [{}, {"state": None}, {"state": {"pid": 42}}])
def test_an_instance_with_a_large_configuration_needs_no_network(state: dict[str, Any]) -> None:
    config = {"user.user-data": "x" * (2 << 20)}
    told = {"name": "web", "type": "container", "expanded_config": config, **state}

    web = instance_in(json.dumps(told).encode())

    assert (web.name, web.unreadable) == ("web", 0)
    assert (web.state and web.state.pid) == ((told.get("state") or {}).get("pid"))
