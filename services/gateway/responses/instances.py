"""An instance as the instances API shows it.

The document's clients call `.toFixed()` on every number, so no number is ever null: what is not
known is 0 and named in `unknown`. A stopped instance uses nothing, and keeps its limits.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.fleet import port_forwards
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.fields import NotRenderable, Percent, described
from shared.contracts import notes
from shared.contracts.samples import InstanceSample
from shared.contracts.status import is_alive

Age = Annotated[
    int,
    described(
        "数据年龄（秒）；主机在线时为 0", "Age of the data in seconds; 0 while the host is online"
    ),
]
Stale = Annotated[bool, described("主机或其 LXD 不在线", "The host or its LXD is offline")]
Duplicate = Annotated[
    bool,
    described(
        "其 uuid 先属于集群中的另一个实例",
        "Its uuid belonged to another instance of the fleet first",
    ),
]
Ephemeral = Annotated[
    bool,
    described("临时实例：停止时 LXD 会将其删除", "LXD deletes the instance when it is stopped"),
]
_Address = Annotated[
    str | None,
    described(
        "所配置网卡的第一个全局地址；没有时为 null",
        "The first global address of a configured NIC; null if there is none",
    ),
]


class InstanceInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance in brief.

    实例基本信息。
    """

    name: str
    status: Annotated[
        str, described("Running, Stopped, Frozen 等", "Running, Stopped, Frozen and others")
    ]
    ipv4: _Address
    ipv6: _Address
    architecture: str
    created_at: Annotated[
        str,
        described(
            "网关本地时间，不带时区；未知时为 1970 年",
            "The gateway's local time, without a zone; in 1970 where it is unknown",
        ),
    ]
    description: str
    created_at_utc: Annotated[str | None, described("未知时为 null", "null where it is unknown")]
    host: str
    host_online: bool
    age_s: Age
    stale: Stale
    project: str
    type: Annotated[
        str, described("container 或 virtual-machine", "`container` or `virtual-machine`")
    ]
    duplicate: Duplicate
    ephemeral: Ephemeral
    error: NotRenderable = None

    @classmethod
    def examples(cls) -> list[InstanceInfo]:
        """Return examples for OpenAPI."""
        return [
            InstanceInfo(
                name="test1",
                status="Running",
                ipv4="10.0.0.100",
                ipv6=None,
                architecture="x86_64",
                created_at="2026-01-20T10:00:00",
                description="test1 20001 password123 30000 30025",
                created_at_utc="2026-01-20T02:00:00Z",
                host="h1",
                host_online=True,
                age_s=0,
                stale=False,
                project="default",
                type="container",
                duplicate=False,
                ephemeral=False,
            )
        ]


class ResourceUsage(Struct, frozen=True, kw_only=True):
    """Use of resources; sizes and traffic in MiB.

    资源使用；大小和流量的单位是 MiB。
    """

    cpu_percent: Percent
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    network_rx: int
    network_tx: int
    unknown: Annotated[
        list[str],
        described("未能测得的字段，其值为 0", "Fields that were not measured; they are 0"),
    ]
    sampled_at_utc: str | None

    @classmethod
    def examples(cls) -> list[ResourceUsage]:
        """Return examples for OpenAPI."""
        return [
            ResourceUsage(
                cpu_percent=47.5,
                memory_used=256,
                memory_total=512,
                disk_used=2048,
                disk_total=10240,
                network_rx=100,
                network_tx=50,
                unknown=[],
                sampled_at_utc="2026-01-23T03:30:00Z",
            )
        ]


class InstanceDetail(Struct, frozen=True, kw_only=True):
    """All about one instance.

    实例详情。
    """

    info: InstanceInfo
    resources: ResourceUsage
    ssh_port: int | None
    nat_ports: str | None
    root_password: Annotated[
        str | None,
        described("无权查看时为 ********", "******** for callers who may not see it"),
    ]
    addresses: Annotated[
        list[str],
        described(
            "所配置网卡的全部全局地址；一个也没有时为实例内其他接口的",
            "All global addresses of the configured NICs; if there is none, those of other "
            "interfaces in the instance",
        ),
    ]

    @classmethod
    def examples(cls) -> list[InstanceDetail]:
        """Return examples for OpenAPI."""
        return [
            InstanceDetail(
                info=InstanceInfo.examples()[0],
                resources=ResourceUsage.examples()[0],
                ssh_port=20001,
                nat_ports="30000-30025",
                root_password="password123",  # noqa: S106 - the document's own
                addresses=["10.0.0.100"],
            )
        ]


class LiveInstance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance in the live stream, which never carries a password."""

    name: str
    status: str
    ipv4: str | None
    resources: ResourceUsage
    ssh_port: int | None
    nat_ports: str | None
    ipv6: str | None
    host: str
    host_online: bool
    age_s: int
    stale: bool
    project: str
    type: str
    error: str | None = None


def information(known: InstanceView, host: HostView, *, secrets: bool) -> InstanceInfo:
    """Return the list entry; without `secrets` a password in the description is masked."""
    instance = known.instance
    created = units.parse_time(instance.created_at)
    return InstanceInfo(
        name=instance.name,
        status=instance.status,
        ipv4=known.reachable.ipv4,
        ipv6=known.reachable.ipv6,
        architecture=instance.architecture,
        created_at=units.local_text(created or units.EPOCH),
        description=visible_description(known, secrets=secrets),
        created_at_utc=units.utc_text(created) if created else None,
        host=known.host,
        host_online=host.online,
        age_s=age_s(host),
        stale=host.stale,
        project=instance.project,
        type=instance.type,
        duplicate=known.duplicate,
        ephemeral=instance.ephemeral,
        error=known.error,
    )


def resources(known: InstanceView, host: HostView) -> ResourceUsage:
    """Return the use and the limits; an unlimited instance has its host's totals."""
    taken = used(known)
    sizes = {
        "memory_used": taken.memory_used,
        "memory_total": memory_total(taken, known, host),
        "disk_used": taken.disk_used,
        "disk_total": disk_total(taken, known, host),
        "network_rx": taken.network_rx,
        "network_tx": taken.network_tx,
    }
    figures = {"cpu_percent": taken.cpu_percent, **sizes}
    return ResourceUsage(
        cpu_percent=units.percent(taken.cpu_percent),
        **{name: units.mib(size) for name, size in sizes.items()},
        unknown=[name for name, value in figures.items() if value is None],
        sampled_at_utc=sampled_at(known),
    )


def detail(known: InstanceView, host: HostView, *, secrets: bool) -> InstanceDetail:
    """Return all about one instance; without `secrets` a known password is masked."""
    reached = known.nat
    return InstanceDetail(
        info=information(known, host, secrets=secrets),
        resources=resources(known, host),
        ssh_port=reached.ssh_port,
        nat_ports=reached.nat_ports,
        root_password=visible_password(known, secrets=secrets),
        addresses=list(known.reachable.all),
    )


def visible_password(known: InstanceView, *, secrets: bool) -> str | None:
    """Return the root password as a caller with or without the right to secrets reads it."""
    password = known.nat.root_password
    return password if secrets or not password else notes.MASK


def live(known: InstanceView, host: HostView) -> LiveInstance:
    """Return the entry of the live stream."""
    reached = known.nat
    return LiveInstance(
        name=known.instance.name,
        status=known.instance.status,
        ipv4=known.reachable.ipv4,
        resources=resources(known, host),
        ssh_port=reached.ssh_port,
        nat_ports=reached.nat_ports,
        ipv6=known.reachable.ipv6,
        host=known.host,
        host_online=host.online,
        age_s=age_s(host),
        stale=host.stale,
        project=known.instance.project,
        type=known.instance.type,
        error=known.error,
    )


def visible_description(known: InstanceView, *, secrets: bool) -> str:
    """Return the description as a caller with or without the right to secrets reads it."""
    text = port_forwards.description(known.instance)
    return text if secrets else notes.mask_password(text)


def age_s(host: HostView) -> int:
    """Return the age of what is known of a host's instances, in whole seconds."""
    return 0 if host.online else int(units.age(host.age_s or 0))


def sampled_at(known: InstanceView) -> str | None:
    """Return when the instance was measured; None: it was not, or nobody can tell when."""
    at = known.sampled_at
    return at if at and units.parse_time(at) and not is_stopped(known) else None


def is_stopped(known: InstanceView) -> bool:
    """Whether the instance uses nothing because it is switched off."""
    return not is_alive(known.instance.status)


def used(known: InstanceView) -> InstanceSample:
    """Return what the instance was measured to use: nothing while it is stopped."""
    return _NOTHING_USED if is_stopped(known) else known.sample or _NOTHING_KNOWN


def memory_total(taken: InstanceSample, known: InstanceView, host: HostView) -> int | None:
    """Return how much memory a sample is to be seen against; an unlimited one has its host's."""
    machine = host.sample.host.memory_total if host.sample else None
    return _first(taken.memory_total, known.instance.memory_limit, machine)


def disk_total(taken: InstanceSample, known: InstanceView, host: HostView) -> int | None:
    """Return how much disk a sample is to be seen against; an unlimited one has its pool's."""
    pool = host.sample.host.disk_total if host.sample else None
    return _first(taken.disk_total, known.instance.root_size, pool)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


_NOTHING_KNOWN = InstanceSample(name="", uuid="")
_NOTHING_USED = InstanceSample(
    name="",
    uuid="",
    cpu_percent=0.0,
    memory_used=0,
    disk_used=0,
    disk_read=0,
    disk_write=0,
    network_rx=0,
    network_tx=0,
)
