"""Hosts as the instances API shows them: the sums that stand for "the host", and each one.

The document knows one machine. With several, its figures are the fleet's: sums, and percentages
weighted by what they are a share of. They agree with each other because they come from the same
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.memory_budget import NOTHING_LEFT_OUT, LeftOut
from services.gateway.fleet.views import HostView
from services.gateway.responses.fields import NotRenderable, Percent, described

FIGURES = (
    "cpu_cores",
    "cpu_percent",
    "memory_total",
    "memory_used",
    "memory_percent",
    "disk_total",
    "disk_used",
    "disk_percent",
)


class HostInfo(Struct, frozen=True, kw_only=True):
    """One host, or the sums over several; memory in MiB, disk in GiB.

    一台主机，或多台主机之和；内存单位 MiB，磁盘单位 GiB。
    """

    cpu_cores: int
    cpu_percent: Percent
    memory_total: int
    memory_used: int
    memory_percent: Percent
    disk_total: int
    disk_used: int
    disk_percent: Percent
    hosts: Annotated[int, described("计入的主机数", "Number of hosts included")]
    stale: Annotated[bool, described("其中有主机不在线", "One of them is offline")]
    age_s: Annotated[int, described("最旧数据的年龄（秒）", "Age of the oldest figures in seconds")]
    unknown: Annotated[list[str], described("未能测得的字段", "Fields that were not measured")]

    @classmethod
    def examples(cls) -> list[HostInfo]:
        """Return examples for OpenAPI."""
        return [
            HostInfo(
                cpu_cores=4,
                cpu_percent=35.2,
                memory_total=16384,
                memory_used=8192,
                memory_percent=50.0,
                disk_total=500,
                disk_used=250,
                disk_percent=50.0,
                hosts=1,
                stale=False,
                age_s=2,
                unknown=[],
            )
        ]


class Host(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One host of the fleet; ages in seconds, null while nothing was heard from it.

    集群中的一台主机；年龄单位为秒，尚未收到数据时为 null。
    """

    host: str
    online: bool
    lxd_connected: bool
    stale: bool
    trusted: Annotated[
        bool,
        described("证书与首次登记的一致", "Its certificate is the one that was first registered"),
    ]
    fingerprint: str
    server: str
    server_version: str
    server_name: str
    age_s: float | None
    inventory_age_s: float | None
    clock_skew_s: float | None
    instances: int
    duplicates: Annotated[
        int,
        described(
            "其中 uuid 先属于另一个实例的数量",
            "How many of them have a uuid that belonged to another instance first",
        ),
    ]
    left_out: Annotated[
        LeftOut,
        described(
            "该主机上报、但超出每主机上限而未显示的数量",
            "What the host reported beyond its limit, and which is not shown",
        ),
    ]
    resources: HostInfo
    error: NotRenderable = None

    @classmethod
    def examples(cls) -> list[Host]:
        """Return examples for OpenAPI."""
        return [
            Host(
                host="h1",
                online=True,
                lxd_connected=True,
                stale=False,
                trusted=True,
                fingerprint="3c5f2a",
                server="lxd",
                server_version="5.0.2",
                server_name="h1",
                age_s=1.2,
                inventory_age_s=30.5,
                clock_skew_s=0.0,
                instances=62,
                duplicates=0,
                left_out=NOTHING_LEFT_OUT,
                resources=HostInfo.examples()[0],
            )
        ]


def host_information(hosts: Sequence[HostView]) -> HostInfo:
    """Return the sums over the hosts that were ever measured; zeros, all unknown, if none was."""
    measured = [(known, known.sample.host) for known in hosts if known.sample]
    samples = [sample for _, sample in measured]
    cores = sum(sample.cpu_cores for sample in samples)
    memory_total = sum(sample.memory_total for sample in samples)
    memory_used = sum(sample.memory_used for sample in samples)
    disk_total = sum(sample.disk_total for sample in samples)
    disk_used = sum(sample.disk_used for sample in samples)
    return HostInfo(
        cpu_cores=cores,
        cpu_percent=units.share(sum(s.cpu_percent * s.cpu_cores for s in samples), 100 * cores),
        memory_total=units.mib(memory_total),
        memory_used=units.mib(memory_used),
        memory_percent=units.share(memory_used, memory_total),
        disk_total=units.gib(disk_total),
        disk_used=units.gib(disk_used),
        disk_percent=units.share(disk_used, disk_total),
        hosts=len(samples),
        stale=any(known.stale for known, _ in measured),
        age_s=int(max((units.age(known.sample_age_s or 0) for known, _ in measured), default=0)),
        unknown=[] if samples else list(FIGURES),
    )


def fleet_information(hosts: Sequence[HostView], boundary: ErrorBoundary) -> HostInfo:
    """Return the sums over the hosts, without those whose figures cannot be summed up."""

    def can_be_summed_up(known: HostView) -> bool:
        subject = EntrySubject("host", known.host)
        return boundary.render(subject, lambda: bool(host_information([known])), bool)

    return boundary.render(
        EntrySubject("fleet", ""),
        lambda: host_information(hosts),
        lambda: host_information(list(filter(can_be_summed_up, hosts))),
    )


def host_view(known: HostView) -> Host:
    """Return one host with its own figures."""
    return Host(
        host=known.host,
        online=known.online,
        lxd_connected=known.lxd_connected,
        stale=known.stale,
        trusted=known.trusted,
        fingerprint=known.fingerprint,
        server=known.server,
        server_version=known.lxd,
        server_name=known.server_name,
        age_s=_shown_age(known.age_s),
        inventory_age_s=_shown_age(known.inventory_age_s),
        clock_skew_s=_rounded(known.clock_skew_s),
        instances=known.instances,
        duplicates=known.duplicates,
        left_out=known.left_out,
        resources=host_information([known]),
        error=known.error,
    )


def _shown_age(seconds: float | None) -> float | None:
    return None if seconds is None else round(units.age(seconds), 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
