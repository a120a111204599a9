from __future__ import annotations

import pytest

from services.gateway.responses.vm_ports import VmForward, VmProxy, vm_ports
from shared.contracts.instances import Proxy


def a_proxy(device: str, listen: str, connect: str, **options: str) -> Proxy:
    return Proxy(device=device, listen=listen, connect=connect, options=options)


SSH = a_proxy("ssh", "tcp:203.0.113.5:20001", "tcp:127.0.0.1:22")
RANGE = a_proxy("forward-0", "tcp:203.0.113.5:30000-30025", "tcp:127.0.0.1:30000-30025")
DNS = a_proxy("forward-1", "udp:[2001:db8::1]:53", "udp:127.0.0.1:5353")


def test_our_proxies_are_forwards_in_the_order_of_their_ports() -> None:
    found = vm_ports([DNS, RANGE, SSH], "203.0.113.5")

    assert found.address == "203.0.113.5"
    assert found.forwards == [
        VmForward(protocol="tcp", listen=20001, connect=22, count=1),
        VmForward(protocol="tcp", listen=30000, connect=30000, count=26),
        VmForward(protocol="udp", listen=53, connect=5353, count=1),
    ]
    assert found.ssh == 20001
    assert found.others == []


@pytest.mark.parametrize(
    "proxy",
    [
        a_proxy("web", "tcp:0.0.0.0:80", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "unix:/run/x.sock", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:203.0.113.5:80,90", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:203.0.113.5:80-89", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:203.0.113.5:80-89", "tcp:127.0.0.1:80-88"),
        a_proxy("forward-2", "tcp:203.0.113.5:80-70", "tcp:127.0.0.1:80-70"),
        a_proxy("forward-2", "tcp:203.0.113.5:65530-65539", "tcp:127.0.0.1:1-10"),
        a_proxy("forward-2", "tcp:203.0.113.5:1-10", "tcp:127.0.0.1:65530-65539"),
        a_proxy("forward-2", "tcp:203.0.113.5:80", "udp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:203.0.113.5:0", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:203.0.113.5:80", "tcp:10.0.0.7:80"),
        a_proxy("forward-2", "tcp:host:80", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:0.0.0.0:80", "tcp:127.0.0.1:80"),
        a_proxy("forward-2", "tcp:[::]:80", "tcp:127.0.0.1:80"),
        a_proxy("ssh", "tcp:0.0.0.0:20144", "tcp:127.0.0.1:22"),
        a_proxy("ssh", "tcp:203.0.113.5:20144", "tcp:127.0.0.1:2222"),
        a_proxy("ssh", "udp:203.0.113.5:20144", "udp:127.0.0.1:22"),
        a_proxy("ssh", "tcp:203.0.113.5:20144", "tcp:127.0.0.1:22", bind="instance"),
        a_proxy("ssh", "tcp:203.0.113.5:20144", "tcp:127.0.0.1:22", nat="true"),
        a_proxy("ssh", "tcp:203.0.113.5:20144", "tcp:127.0.0.1:22", proxy_protocol="true"),
    ],
)
def test_any_other_proxy_is_its_operators_whatever_it_is_called(proxy: Proxy) -> None:
    found = vm_ports([proxy], "")

    shown = VmProxy(proxy.device, proxy.listen, proxy.connect, proxy.options)
    assert (found.forwards, found.others, found.ssh) == ([], [shown], None)


def test_an_instance_without_proxies_has_no_ports() -> None:
    assert vm_ports([], "").forwards == []


def test_a_second_port_for_ssh_has_the_name_of_any_forward() -> None:
    second = a_proxy("forward-0", "tcp:203.0.113.5:20002", "tcp:127.0.0.1:22")

    found = vm_ports([second], "203.0.113.5")

    assert (found.ssh, found.others) == (20002, [])
