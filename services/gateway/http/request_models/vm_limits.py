"""The limits that a request may set on a VM."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.http.request_models.schema import Camel, with_example
from services.gateway.http.request_models.values import Millions, Processes

LIMITS: dict[str, Any] = {
    "network": {"ingressMbit": 100, "egressMbit": 50},
    "disk": {"readMbyte": 30, "writeMbyte": 10},
    "processes": 500,
}


class VmNetworkLimitsRequest(Camel):
    """Limits of the network in millions of bits a second, for each NIC on its own.

    网络限速，每秒百万比特；每块网卡各自计算。
    """

    model_config = with_example(LIMITS["network"])
    ingress_mbit: Millions = Field(
        default=None, description=both("入站；null 或 0 为不限", "Inbound; null or 0: unlimited")
    )
    egress_mbit: Millions = Field(
        default=None, description=both("出站；null 或 0 为不限", "Outbound; null or 0: unlimited")
    )


class VmDiskLimitsRequest(Camel):
    """Limits of the root disk in millions of bytes a second.

    根磁盘限速，每秒百万字节。
    """

    model_config = with_example(LIMITS["disk"])
    read_mbyte: Millions = Field(
        default=None, description=both("读；null 或 0 为不限", "Reading; null or 0: unlimited")
    )
    write_mbyte: Millions = Field(
        default=None, description=both("写；null 或 0 为不限", "Writing; null or 0: unlimited")
    )


class VmLimitsRequest(Camel):
    """Limits of the network, the disk and the number of processes; those not given stay.

    网络、磁盘和进程数的限制；请求中未给出的不变。
    """

    model_config = with_example(LIMITS)
    network: VmNetworkLimitsRequest = VmNetworkLimitsRequest()
    disk: VmDiskLimitsRequest = VmDiskLimitsRequest()
    processes: Processes = Field(
        default=None,
        description=both(
            "最多进程数，仅限容器；null 或 0 为不限",
            "The most processes, of containers only; null or 0: unlimited",
        ),
    )

    def given(self) -> dict[str, int | float | None]:
        """Return the limits that the request names, by the fields of `changes.Limits`."""
        named = self.model_dump(exclude_unset=True)
        network, disk = named.get("network", {}), named.get("disk", {})
        every = {
            "ingress": network.get("ingress_mbit", ...),
            "egress": network.get("egress_mbit", ...),
            "read": disk.get("read_mbyte", ...),
            "write": disk.get("write_mbyte", ...),
            "processes": named.get("processes", ...),
        }
        return {field: value for field, value in every.items() if value is not ...}
