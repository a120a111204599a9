"""What a VM uses, as the VM API v1 shows it.

Memory is in MiB, shares are percent, traffic is bytes since the VM's start. What is not known is 0
and named in `unknown`; a stopped VM uses nothing.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from services.gateway import units
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses import instances as shown
from services.gateway.responses.time_range import Period
from shared.contracts.instances import InstanceSample


class Reading(Struct, frozen=True):
    """A value at a time."""

    timestamp: str
    value: float


class Cpu(Struct, frozen=True):
    """The share of the CPUs that the VM may use."""

    usage: float
    history: list[Reading]


class Memory(Struct, frozen=True):
    """Memory in MiB."""

    used: int
    total: int
    usage: float


class Disk(Struct, frozen=True):
    """Bytes read and written; the share of the quota, else of the pool, that is used."""

    read: int
    write: int
    usage: float


class Network(Struct, frozen=True):
    """Bytes received and sent."""

    rx: int
    tx: int


class VmMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """The document's fields, then ours; `sampled_at` is None where nothing was measured."""

    cpu: Cpu
    memory: Memory
    disk: Disk
    network: Network
    sampled_at: str | None
    unknown: list[str]


def vm_metrics(known: InstanceView, host: HostView, asked: Period) -> VmMetrics:
    """Return the newest measurement; where it lies in the period, it is also the history."""
    taken = shown.used(known)
    memory = shown.memory_total(taken, known, host)
    disk = shown.disk_total(taken, known, host)
    figures = {**_measured(taken), "memory.total": memory}
    at = units.known_instant(known.sampled_at or "")
    return VmMetrics(
        cpu=Cpu(units.percent(taken.cpu_percent), _history(at, taken, asked)),
        memory=Memory(
            units.mib(taken.memory_used),
            units.mib(memory),
            units.share(taken.memory_used or 0, memory or 0),
        ),
        disk=Disk(
            taken.disk_read or 0,
            taken.disk_write or 0,
            units.share(taken.disk_used or 0, disk or 0),
        ),
        network=Network(taken.network_rx or 0, taken.network_tx or 0),
        sampled_at=units.utc_text(at) if at else None,
        unknown=[name for name, value in figures.items() if value is None],
    )


def _history(at: datetime | None, taken: InstanceSample, asked: Period) -> list[Reading]:
    if at is None or taken.cpu_percent is None or not asked.holds(at):
        return []
    return [Reading(units.utc_text(at), units.percent(taken.cpu_percent))]


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
