"""An instance as the VM API v1 shows it: memory in MiB, disk in GiB, times in UTC with `Z`.

As in the instances API no number is ever null: what is not known is 0 and named in `unknown`. An
instance without limits has what its host has, a virtual machine without them LXD's own default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses import instances as shown
from services.gateway.responses.fields import InstanceType, NotRenderable, described, one_of
from services.gateway.responses.instances import Age, Duplicate, Ephemeral, Stale
from services.gateway.responses.vm_limits import VmLimits, vm_limits
from services.gateway.responses.vm_sizes import vm_sizes
from services.gateway.vms.naming import display_name_of
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE
from shared.contracts.instance_config import Limits
from shared.contracts.instances import Instance
from shared.contracts.status import Status

ID_PREFIX = "vm-"
TYPES = (CONTAINER, VIRTUAL_MACHINE)

RUNNING, STOPPED, PAUSED, CREATING, ERROR = "running", "stopped", "paused", "creating", "error"
STATUSES = (RUNNING, STOPPED, PAUSED, CREATING, ERROR)
VmStatus = Annotated[str, one_of(*STATUSES)]
# LXD's words for what lies between two states are those of the state that is being left.
_STATUS: Mapping[str, str] = {
    Status.RUNNING: RUNNING,
    Status.READY: RUNNING,
    Status.STARTED: RUNNING,
    Status.STOPPING: RUNNING,
    Status.ABORTING: RUNNING,
    Status.FREEZING: RUNNING,
    Status.STOPPED: STOPPED,
    Status.STARTING: STOPPED,
    Status.FROZEN: PAUSED,
    Status.THAWED: RUNNING,
    Status.ERROR: ERROR,
    # Ours, of what LXD has not completed.
    "Creating": CREATING,
}


class VmTrash(Struct, frozen=True, kw_only=True, rename="camel"):
    """The root file system before a rebuild, which `/rebuild/revert` restores.

    重装前的根文件系统，可用 `/rebuild/revert` 恢复。
    """

    until: Annotated[
        str,
        described(
            "在此之前可以恢复，之后删除", "Until then it can be restored, then it is deleted"
        ),
    ]
    disk: Annotated[
        float,
        described(
            "磁盘大小（GiB），计入主机已分配的磁盘；未限制时为 0",
            "Size of the disk in GiB, which counts as allocated on the host; 0 if unlimited",
        ),
    ]
    instance: Annotated[
        str, described("LXD 中的名称；不在任何列表中", "Its name in LXD; no list shows it")
    ]

    @classmethod
    def examples(cls) -> list[VmTrash]:
        """Return examples for OpenAPI."""
        name = "trash-5d1c0f6a-web-server"
        return [VmTrash(until="2024-01-02T12:00:00Z", disk=20, instance=name)]


class Vm(Struct, frozen=True, kw_only=True, rename="camel"):
    """A virtual machine or container.

    虚拟机或容器。
    """

    id: Annotated[
        str,
        described(
            "`vm-` 加 uuid，重命名和迁移后不变；没有 uuid 或 uuid 重复时为 `主机:名称`",
            "`vm-` and the uuid, which neither a new name nor another host changes; `host:name` "
            "if there is no uuid or another instance has the same one",
        ),
    ]
    name: str
    status: VmStatus
    cpu: Annotated[
        int, described("CPU核数；未限制时为主机的", "Number of CPUs; the host's if unlimited")
    ]
    memory: Annotated[
        int,
        described("内存大小（MiB）；未限制时为主机的", "Memory in MiB; the host's if unlimited"),
    ]
    disk: Annotated[
        float,
        described(
            "磁盘大小（GiB）；未限制时为存储池的", "Disk in GiB; the storage pool's if unlimited"
        ),
    ]
    os: str
    ip: Annotated[
        str,
        described(
            "所配置网卡的 IPv4 地址；没有时为其 IPv6 地址，都没有时为空",
            "The IPv4 address of a configured NIC, or else its IPv6 address; empty without either",
        ),
    ]
    created_at: str
    updated_at: Annotated[
        str,
        described("配置或状态最近一次变化的时间", "When its configuration or state last changed"),
    ]
    description: str
    labels: dict[str, str]
    auto_start: Annotated[
        bool, described("主机启动时自动启动", "It is started when the host starts")
    ]
    type: InstanceType
    architecture: str
    host: str
    project: str
    instance: Annotated[str, described("LXD 中的名称", "Its name in LXD")]
    ipv6: str
    networks: tuple[str, ...]
    limits: Annotated[VmLimits, described("没有限制的为 null", "null where there is no limit")]
    ssh_port: int | None
    nat_ports: str | None
    host_online: bool
    age_s: Age
    stale: Stale
    duplicate: Duplicate
    ephemeral: Ephemeral
    addresses: Annotated[
        list[str],
        described(
            "所配置网卡的全部全局地址；一个也没有时为虚拟机内其他接口的",
            "All global addresses of the configured NICs; if there is none, those of other "
            "interfaces in the VM",
        ),
    ]
    unknown: Annotated[
        list[str], described("未知的字段，其值为 0", "Fields that are unknown; they are 0")
    ]
    progress: Annotated[
        int | None,
        described(
            "创建进度（百分比）；已创建时为 null",
            "Progress of its creation in percent; null afterwards",
        ),
    ]
    operation: Annotated[
        str | None,
        described("创建操作的 id；已创建时为 null", "Id of its creation; null afterwards"),
    ]
    trash: Annotated[
        VmTrash | None,
        described(
            "重装后保留的旧系统；没有时为 null",
            "The former root, which is kept after a rebuild; null if there is none",
        ),
    ]
    error: Annotated[
        str | None,
        described(
            "创建失败的原因，仅在查询单台时给出；无法显示时为 `not_renderable`",
            "Why it could not be created, only told of a single VM; `not_renderable` if it "
            "cannot be shown",
        ),
    ]

    @classmethod
    def examples(cls) -> list[Vm]:
        """Return examples for OpenAPI."""
        return [
            Vm(
                id="vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                name="Web Server",
                status=RUNNING,
                cpu=2,
                memory=2048,
                disk=20,
                os="ubuntu20.04",
                ip="192.168.1.100",
                created_at="2024-01-01T12:00:00Z",
                updated_at="2024-01-01T12:30:00Z",
                description="",
                labels={"env": "prod"},
                auto_start=False,
                type=CONTAINER,
                architecture="x86_64",
                host="h1",
                project="default",
                instance="web-server",
                ipv6="",
                networks=("br0",),
                limits=vm_limits(Limits()),
                ssh_port=None,
                nat_ports=None,
                host_online=True,
                age_s=0,
                stale=False,
                duplicate=False,
                ephemeral=False,
                addresses=["192.168.1.100"],
                unknown=[],
                progress=None,
                operation=None,
                trash=None,
                error=None,
            )
        ]


class VmState(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The state of one VM, and how old the knowledge of it is.

    一台虚拟机的状态，及其数据的年龄。
    """

    id: str
    name: str
    status: VmStatus
    host: str
    host_online: bool
    age_s: int
    stale: bool
    error: NotRenderable = None

    @classmethod
    def examples(cls) -> list[VmState]:
        """Return examples for OpenAPI."""
        return [
            VmState(
                id="vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                name="Web Server",
                status=RUNNING,
                host="h1",
                host_online=True,
                age_s=0,
                stale=False,
            )
        ]


FIELDS = Vm.__struct_encode_fields__


def vm(known: InstanceView, host: HostView, *, secrets: bool) -> Vm:
    """Return all of an instance; without `secrets` a password in the description is masked."""
    instance, creation = known.instance, known.creation
    reached = known.nat
    created = units.parse_time(instance.created_at)
    sizes = vm_sizes(known, host)
    return Vm(
        id=vm_id(known),
        name=display_name_of(instance),
        status=status_of(instance.status),
        cpu=sizes["cpu"] or 0,
        memory=units.mib(sizes["memory"]),
        disk=units.gib_exactly(sizes["disk"] or 0),
        os=instance.os,
        ip=known.reachable.ipv4 or known.reachable.ipv6 or "",
        created_at=units.utc_text(created or units.EPOCH),
        updated_at=updated_at(known),
        description=shown.visible_description(known, secrets=secrets),
        labels=instance.labels,
        auto_start=instance.auto_start,
        type=instance.type if instance.type in TYPES else CONTAINER,
        architecture=instance.architecture,
        host=known.host,
        project=instance.project,
        instance=instance.name,
        ipv6=known.reachable.ipv6 or "",
        networks=instance.networks,
        limits=vm_limits(instance.limits),
        ssh_port=reached.ssh_port,
        nat_ports=reached.nat_ports,
        host_online=host.online,
        age_s=shown.age_s(host),
        stale=host.stale,
        duplicate=known.duplicate,
        ephemeral=instance.ephemeral,
        addresses=list(known.reachable.all),
        unknown=[name for name, value in (sizes | {"createdAt": created}).items() if value is None],
        progress=creation.progress or 0 if creation else None,
        operation=creation.operation_id if creation else None,
        trash=vm_trash(instance),
        error=known.error,
    )


def vm_trash(instance: Instance) -> VmTrash | None:
    """Return what a revert of an instance brings back; None: nothing."""
    kept = instance.trash
    if kept is None:
        return None
    return VmTrash(
        until=units.utc_text(units.parse_time_or_epoch(kept.until)),
        disk=units.gib_exactly(kept.size or 0),
        instance=kept.name,
    )


def vm_state(known: InstanceView, host: HostView) -> VmState:
    """Return the state of an instance."""
    return VmState(
        id=vm_id(known),
        name=display_name_of(known.instance),
        status=status_of(known.instance.status),
        host=known.host,
        host_online=host.online,
        age_s=shown.age_s(host),
        stale=host.stale,
        error=known.error,
    )


def vm_id(known: InstanceView) -> str:
    """Return what an instance is called for good, whatever it is renamed to and wherever it goes.

    One to which LXD gave no uuid has only its place, and so has one whose uuid is another's id.
    """
    uuid = known.instance.uuid
    if uuid and not known.duplicate:
        return f"{ID_PREFIX}{uuid}"
    return f"{known.host}:{known.instance.name}"


def status_of(lxd_status: str) -> str:
    """Return the document's word for a status of LXD's."""
    return _STATUS.get(lxd_status, ERROR)


def updated_at(known: InstanceView) -> str:
    """Return when its configuration or state was last seen to change, at the least its creation."""
    created = units.parse_time_or_epoch(known.instance.created_at)
    if known.changed_at is None:
        return units.utc_text(created)
    return units.utc_text(max(created, units.moment(known.changed_at)))
