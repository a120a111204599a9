"""The ports of a host that lead to an instance: ours, and the proxy devices of its operator.

Ours are given out and changed through the API; `shared.contracts.forwards` says which these are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Struct

from services.gateway.responses.fields import described, one_of
from shared.contracts.forwards import forward_of, leads_to_ssh
from shared.contracts.instance_config import Forward
from shared.contracts.instances import Proxy


class VmForward(Struct, frozen=True, kw_only=True):
    """`count` ports of the host, from `listen` on, that lead to those from `connect` on.

    主机上从 `listen` 起的 `count` 个端口，通向虚拟机上从 `connect` 起的端口。
    """

    protocol: Annotated[str, one_of("tcp", "udp")]
    listen: Annotated[int, described("主机端口", "Port of the host")]
    connect: Annotated[int, described("虚拟机端口；22 即 SSH", "Port of the VM; 22 is SSH")]
    count: Annotated[int, described("连续端口数", "Number of consecutive ports")]


class VmProxy(Struct, frozen=True):
    """A proxy device that is not managed here, as LXD has it.

    不由此接口管理的代理设备，与 LXD 中的相同。
    """

    device: str
    listen: str
    connect: str
    options: Annotated[
        dict[str, str],
        described(
            "其余设置，如 `bind`、`nat`、`proxy_protocol`；`bind=instance` 不占用主机端口",
            "Its other settings, like `bind`, `nat`, `proxy_protocol`; with `bind=instance` it "
            "takes no port of the host",
        ),
    ]


class VmPorts(Struct, frozen=True, kw_only=True):
    """All that leads to a VM; with 202 as it stands while the change goes on.

    通向虚拟机的全部端口；202 时为更改完成之前的状态。
    """

    address: Annotated[
        str,
        described(
            "端口所在的主机地址；主机没有端口池时为空",
            "Address of the host that has the ports; empty where the host has no pool of ports",
        ),
    ]
    ssh: Annotated[
        int | None, described("通向 SSH 的主机端口", "The host's port that leads to SSH")
    ]
    forwards: list[VmForward]
    others: Annotated[
        list[VmProxy],
        described("不由此接口管理的代理设备", "Proxy devices that are not managed here"),
    ]

    @classmethod
    def examples(cls) -> list[VmPorts]:
        """Return examples for OpenAPI."""
        ssh = VmForward(protocol="tcp", listen=20001, connect=22, count=1)
        more = VmForward(protocol="tcp", listen=30000, connect=30000, count=26)
        web = VmProxy("web", "tcp:0.0.0.0:80", "tcp:127.0.0.1:80", {"proxy_protocol": "true"})
        return [VmPorts(address="203.0.113.5", ssh=20001, forwards=[ssh, more], others=[web])]


def vm_ports(proxies: Iterable[Proxy], address: str) -> VmPorts:
    """Return what leads to an instance with these proxies, by protocol and port."""
    read = [(proxy, forward_of(proxy)) for proxy in proxies]
    ours = [forward for _, forward in read if forward]
    return VmPorts(
        address=address,
        ssh=next((forward.listen for forward in ours if leads_to_ssh(forward)), None),
        forwards=[
            _forward(each) for each in sorted(ours, key=lambda each: (each.protocol, each.listen))
        ],
        others=[_proxy(proxy) for proxy, forward in read if forward is None],
    )


def _forward(forward: Forward) -> VmForward:
    return VmForward(
        protocol=forward.protocol,
        listen=forward.listen,
        connect=forward.connect,
        count=forward.count,
    )


def _proxy(proxy: Proxy) -> VmProxy:
    return VmProxy(proxy.device, proxy.listen, proxy.connect, proxy.options)
