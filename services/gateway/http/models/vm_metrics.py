"""What a VM uses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.gateway.http.models.example import Camel, Percent, with_example

READING = {"timestamp": "2024-01-01T12:01:00Z", "value": 45.2}
CPU = {"usage": 45.2, "history": [READING]}
MEMORY = {"used": 1536, "total": 2048, "usage": 75.0}
DISK = {"read": 1024000, "write": 512000, "usage": 60.5}
TRAFFIC = {"rx": 1048576, "tx": 524288}
METRICS = {
    "cpu": CPU,
    "memory": MEMORY,
    "disk": DISK,
    "network": TRAFFIC,
    "sampledAt": "2024-01-01T12:01:00Z",
    "unknown": [],
}


class VmReading(Camel):
    """A value at a time."""

    model_config = with_example(READING)
    timestamp: str
    value: float


class VmCpu(Camel):
    """CPU, in percent of what the VM may use."""

    model_config = with_example(CPU)
    usage: Percent
    history: list[VmReading] = Field(description="所求时段内已知的测量；目前只有最近一次")


class VmMemory(Camel):
    """内存（MiB）。"""

    model_config = with_example(MEMORY)
    used: int
    total: int
    usage: Percent


class VmDisk(Camel):
    """磁盘：启动以来读写的字节数，以及配额（未设时为存储池）的使用率。"""

    model_config = with_example(DISK)
    read: int
    write: int
    usage: Percent


class VmTraffic(Camel):
    """网络：启动以来收发的字节数。"""

    model_config = with_example(TRAFFIC)
    rx: int
    tx: int


class VmMetrics(Camel):
    """What a VM uses; a stopped one uses nothing."""

    model_config = with_example(METRICS)
    cpu: VmCpu
    memory: VmMemory
    disk: VmDisk
    network: VmTraffic
    sampled_at: str | None
    unknown: list[str] = Field(description="未能测得的值，显示为 0")


class VmMetricsAnswer(Camel):
    """What a VM uses."""

    model_config = with_example({"success": True, "data": METRICS})
    success: Literal[True]
    data: VmMetrics
