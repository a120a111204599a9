"""Limits of a VM: what a request may ask for, and what is shown of them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from services.gateway.http.models.example import Camel, with_example
from services.gateway.http.models.vm_values import Millions, Processes

LIMITS: dict[str, Any] = {
    "network": {"ingressMbit": 100, "egressMbit": 50},
    "disk": {"readMbyte": 30, "writeMbyte": 10},
    "processes": 500,
}
NO_LIMITS: dict[str, Any] = {
    "network": {"ingressMbit": None, "egressMbit": None},
    "disk": {"readMbyte": None, "writeMbyte": None},
    "processes": None,
}


class VmNetworkLimits(Camel):
    """网络限速，每秒百万比特；每块网卡各自计算。"""

    model_config = with_example(LIMITS["network"])
    ingress_mbit: Millions = Field(default=None, description="入站；null 或 0 为不限")
    egress_mbit: Millions = Field(default=None, description="出站；null 或 0 为不限")


class VmDiskLimits(Camel):
    """根磁盘限速，每秒百万字节。"""

    model_config = with_example(LIMITS["disk"])
    read_mbyte: Millions = Field(default=None, description="读；null 或 0 为不限")
    write_mbyte: Millions = Field(default=None, description="写；null 或 0 为不限")


class VmLimits(Camel):
    """网络、磁盘和进程数的限制；请求中未给出的不变。"""

    model_config = with_example(LIMITS)
    network: VmNetworkLimits = VmNetworkLimits()
    disk: VmDiskLimits = VmDiskLimits()
    processes: Processes = Field(default=None, description="最多进程数，仅限容器；null 或 0 为不限")

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
