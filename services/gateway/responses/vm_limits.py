"""Limits of a VM as the VM API v1 shows them; null: there is none."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.responses.fields import described
from shared.contracts.instance_config import Limits


class VmNetworkLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """Limits of the network in millions of bits a second, for each NIC on its own.

    网络限速，每秒百万比特；每块网卡各自计算。
    """

    ingress_mbit: Annotated[float | None, described("入站", "Inbound")]
    egress_mbit: Annotated[float | None, described("出站", "Outbound")]


class VmDiskLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """Limits of the root disk in millions of bytes a second.

    根磁盘限速，每秒百万字节。
    """

    read_mbyte: Annotated[float | None, described("读", "Reading")]
    write_mbyte: Annotated[float | None, described("写", "Writing")]


class VmLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """Limits of the network, the disk and the number of processes; null where there is none.

    网络、磁盘和进程数的限制；没有限制的为 null。
    """

    network: VmNetworkLimits
    disk: VmDiskLimits
    processes: Annotated[
        int | None, described("最多进程数，仅限容器", "The most processes, of containers only")
    ]

    @classmethod
    def examples(cls) -> list[VmLimits]:
        """Return examples for OpenAPI."""
        return [
            VmLimits(
                network=VmNetworkLimits(ingress_mbit=100, egress_mbit=50),
                disk=VmDiskLimits(read_mbyte=30, write_mbyte=10),
                processes=500,
            )
        ]


def vm_limits(limits: Limits) -> VmLimits:
    """Return the limits of a VM in the API's units."""
    return VmLimits(
        network=VmNetworkLimits(
            ingress_mbit=units.millions(limits.ingress), egress_mbit=units.millions(limits.egress)
        ),
        disk=VmDiskLimits(
            read_mbyte=units.millions(limits.read), write_mbyte=units.millions(limits.write)
        ),
        processes=limits.processes,
    )
