"""What a VM uses, as the VM API v1 shows it.

Memory is in MiB, shares are percent, traffic is bytes since the VM's start. What is not known is 0
and named in `unknown`; a stopped VM uses nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses import instances as shown
from services.gateway.responses.fields import Percent, described
from services.gateway.responses.time_range import Period
from shared.contracts.samples import InstanceSample


class VmReading(Struct, frozen=True):
    """A value at a time.

    某一时刻的值。
    """

    timestamp: str
    value: float


class VmCpu(Struct, frozen=True):
    """CPU, in percent of what the VM may use.

    CPU，占虚拟机可用量的百分比。
    """

    usage: Percent
    history: Annotated[
        list[VmReading],
        described(
            "所求时段内已知的测量；目前只有最近一次",
            "The known measurements of the period; so far only the newest one",
        ),
    ]


class VmMemory(Struct, frozen=True):
    """Memory in MiB.

    内存（MiB）。
    """

    used: int
    total: int
    usage: Percent


class VmDisk(Struct, frozen=True):
    """Disk: bytes read and written since the start, and use of the quota, or else of the pool.

    磁盘：启动以来读写的字节数，以及配额（未设时为存储池）的使用率。
    """

    read: int
    write: int
    usage: Percent


class VmTraffic(Struct, frozen=True):
    """Network: bytes received and sent since the start.

    网络：启动以来收发的字节数。
    """

    rx: int
    tx: int


class VmMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a VM uses; a stopped one uses nothing.

    虚拟机的资源使用；已停止的为零。
    """

    cpu: VmCpu
    memory: VmMemory
    disk: VmDisk
    network: VmTraffic
    sampled_at: str | None
    unknown: Annotated[
        list[str], described("未能测得的值，显示为 0", "Values that were not measured; they are 0")
    ]

    @classmethod
    def examples(cls) -> list[VmMetrics]:
        """Return examples for OpenAPI."""
        at = "2024-01-01T12:01:00Z"
        return [
            VmMetrics(
                cpu=VmCpu(45.2, [VmReading(at, 45.2)]),
                memory=VmMemory(1536, 2048, 75.0),
                disk=VmDisk(1024000, 512000, 60.5),
                network=VmTraffic(1048576, 524288),
                sampled_at=at,
                unknown=[],
            )
        ]


def vm_metrics(known: InstanceView, host: HostView, asked: Period) -> VmMetrics:
    """Return the newest measurement; where it lies in the period, it is also the history."""
    taken = shown.used(known)
    memory = shown.memory_total(taken, known, host)
    disk = shown.disk_total(taken, known, host)
    figures = {**_measured(taken), "memory.total": memory}
    at = units.parse_time(known.sampled_at or "")
    return VmMetrics(
        cpu=VmCpu(units.percent(taken.cpu_percent), _history(at, taken, asked)),
        memory=VmMemory(
            units.mib(taken.memory_used),
            units.mib(memory),
            units.share(taken.memory_used or 0, memory or 0),
        ),
        disk=VmDisk(
            taken.disk_read or 0,
            taken.disk_write or 0,
            units.share(taken.disk_used or 0, disk or 0),
        ),
        network=VmTraffic(taken.network_rx or 0, taken.network_tx or 0),
        sampled_at=units.utc_text(at) if at else None,
        unknown=[name for name, value in figures.items() if value is None],
    )


def _history(at: datetime | None, taken: InstanceSample, asked: Period) -> list[VmReading]:
    if at is None or taken.cpu_percent is None or not asked.holds(at):
        return []
    return [VmReading(units.utc_text(at), units.percent(taken.cpu_percent))]


def _measured(taken: InstanceSample) -> dict[str, float | None]:
    """Return what was measured, by the names under which it is shown."""
    return {
        "cpu.usage": taken.cpu_percent,
        "memory.used": taken.memory_used,
        "disk.read": taken.disk_read,
        "disk.write": taken.disk_write,
        "disk.usage": taken.disk_used,
        "network.rx": taken.network_rx,
        "network.tx": taken.network_tx,
    }
