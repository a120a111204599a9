"""Many VMs with Docker or libvirt inside were all shown with one address: docker0's 172.17.0.1.

LXD tells the interfaces inside in alphabetical order, and a guest's NIC is called `enp5s0`, or has
nothing but IPv6.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.gateway.responses import instances as shown
from services.gateway.responses.vms import vm
from services.metrics.sampler.lxd_instances import InstanceWithState
from services.metrics.sampler.reading import reading_from_lxd
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.samples import Address
from shared.contracts.samples_v1 import AddressV1
from tests.support.builders import an_instance_sample
from tests.support.sampler import HOST, POOLS
from tests.support.views import a_host_view, a_view

MAC, MAC1 = "00:16:3e:5a:00:01", "00:16:3e:5a:00:02"
DOCKER0 = {"hwaddr": "02:42:ac:11:00:01", "addresses": [("inet", "172.17.0.1", "global")]}
VIRBR0 = {"hwaddr": "52:54:00:5a:00:03", "addresses": [("inet", "192.168.122.1", "global")]}
V4, V4_TOO = ("inet", "10.0.0.7", "global"), ("inet", "10.0.1.7", "global")
V6, V6_TOO = ("inet6", "fd42::7", "global"), ("inet6", "2001:db8::7", "global")
LINK = ("inet6", "fe80::7", "link")


def nic(*addresses: tuple[str, str, str], **more: str) -> dict[str, Any]:
    return {"hwaddr": MAC, "host_name": "", "addresses": list(addresses), **more}


def told(
    network: dict[str, dict[str, Any]], kind: str = "virtual-machine", **nics: dict[str, str]
) -> tuple[Address, ...]:
    """Return the addresses that the sampler tells of an instance whose MAC addresses are ours."""
    interfaces = {
        name: {
            **each,
            "addresses": [
                dict(zip(("family", "address", "scope"), one, strict=True))
                for one in each["addresses"]
            ],
        }
        for name, each in network.items()
    }
    described = {
        "name": "web",
        "type": kind,
        "state": {"pid": 42, "network": interfaces},
        "expanded_config": {
            "volatile.eth0.hwaddr": MAC,
            "volatile.eth0.host_name": "tap5",
            "volatile.eth1.hwaddr": MAC1,
        },
        "expanded_devices": nics or {"eth0": {"type": "nic"}},
    }
    one = reading_from_lxd(
        1.0, msgspec.convert(described, InstanceWithState), HOST, POOLS, Dropped()
    )
    assert one is not None
    return one.addresses


@pytest.mark.parametrize(
    ("network", "ipv4", "ipv6", "everything"),
    [
        ({"docker0": DOCKER0, "enp5s0": nic(V4)}, "10.0.0.7", None, ["10.0.0.7"]),
        ({"br-7f": DOCKER0, "ens3": nic(V4, V6)}, "10.0.0.7", "fd42::7", ["10.0.0.7", "fd42::7"]),
        ({"docker0": DOCKER0, "enp5s0": nic(V6)}, None, "fd42::7", ["fd42::7"]),
        ({"enp5s0": nic(V6), "virbr0": VIRBR0}, None, "fd42::7", ["fd42::7"]),
        ({"docker0": DOCKER0, "enp5s0": nic(LINK)}, None, None, ["172.17.0.1"]),
        ({"docker0": DOCKER0, "virbr0": VIRBR0}, None, None, ["172.17.0.1", "192.168.122.1"]),
        ({"docker0": DOCKER0, "wan": nic(V4, hwaddr=MAC.upper())}, "10.0.0.7", None, ["10.0.0.7"]),
        # Another MAC address, given inside: then its end on the host tells it.
        (
            {"docker0": DOCKER0, "wan": nic(V4, hwaddr="06::1", host_name="tap5")},
            "10.0.0.7",
            None,
            ["10.0.0.7"],
        ),
        # A bridge inside over the NIC, which has its MAC address.
        ({"br0": nic(V4), "docker0": DOCKER0, "enp5s0": nic()}, "10.0.0.7", None, ["10.0.0.7"]),
        # Without an agent LXD calls the interfaces as it calls its devices.
        ({"docker0": DOCKER0, "eth0": nic(V4, hwaddr="")}, "10.0.0.7", None, ["10.0.0.7"]),
    ],
)
def test_the_address_is_one_of_a_configured_nic(
    network: dict[str, dict[str, Any]], ipv4: str | None, ipv6: str | None, everything: list[str]
) -> None:
    one = a_view(sample=an_instance_sample(addresses=told(network)))

    detail = shown.detail(one, a_host_view(), secrets=False)
    assert (detail.info.ipv4, detail.info.ipv6) == (ipv4, ipv6)
    assert shown.live(one, a_host_view()).ipv4 == ipv4
    assert detail.addresses == everything
    of_v1 = vm(one, a_host_view(), secrets=False)
    assert (of_v1.ip, of_v1.ipv6) == (ipv4 or ipv6 or "", ipv6 or "")
    assert of_v1.addresses == everything


def test_of_several_nics_the_first_one_goes_first() -> None:
    network = {
        "docker0": DOCKER0,
        "enp1s0": nic(V4_TOO, V6_TOO, hwaddr=MAC1),
        "enp9s0": nic(V4, V6),
    }

    addresses = told(network, eth0={"type": "nic"}, eth1={"type": "nic"})

    one = a_view(sample=an_instance_sample(addresses=addresses))
    assert (one.reachable.ipv4, one.reachable.ipv6) == ("10.0.0.7", "fd42::7")
    assert [each.of_nic for each in addresses] == [True] * 4 + [False]


def test_what_a_container_calls_its_nic_is_as_lxd_was_told() -> None:
    network = {"docker0": DOCKER0, "wan": nic(V4, hwaddr="06:00:00:00:00:01")}

    addresses = told(network, "container", lan={"type": "nic", "name": "wan"})

    assert a_view(sample=an_instance_sample(addresses=addresses)).reachable.ipv4 == "10.0.0.7"


def test_a_mac_address_may_be_set_by_the_device() -> None:
    network = {"docker0": DOCKER0, "enp5s0": nic(V4, hwaddr="06:00:00:00:00:02")}

    addresses = told(network, eth0={"type": "nic", "hwaddr": "06:00:00:00:00:02"})

    assert a_view(sample=an_instance_sample(addresses=addresses)).reachable.ipv4 == "10.0.0.7"


def test_a_sampler_of_the_release_before_tells_of_all_alike() -> None:
    earlier = b'{"device":"enp5s0","family":"inet","address":"10.0.0.7","scope":"global"}'

    told = msgspec.json.decode(earlier, type=AddressV1)
    addresses = (msgspec.convert(told, Address, from_attributes=True),)

    assert a_view(sample=an_instance_sample(addresses=addresses)).reachable.ipv4 == "10.0.0.7"
