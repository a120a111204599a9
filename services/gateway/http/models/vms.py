"""VMs: the answers of the VM API v1, with our additions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from services.gateway.http.models.example import Camel, Error, with_example
from services.gateway.http.models.vm_limits import NO_LIMITS, VmLimits

TRASH = {"until": "2024-01-02T12:00:00Z", "disk": 20, "instance": "trash-5d1c0f6a-web-server"}
VM = {
    "id": "vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
    "name": "Web Server",
    "status": "running",
    "cpu": 2,
    "memory": 2048,
    "disk": 20,
    "os": "ubuntu20.04",
    "ip": "192.168.1.100",
    "createdAt": "2024-01-01T12:00:00Z",
    "updatedAt": "2024-01-01T12:30:00Z",
    "description": "",
    "labels": {"env": "prod"},
    "autoStart": False,
    "type": "container",
    "architecture": "x86_64",
    "host": "h1",
    "project": "default",
    "instance": "web-server",
    "ipv6": "",
    "networks": ["br0"],
    "limits": NO_LIMITS,
    "sshPort": None,
    "natPorts": None,
    "hostOnline": True,
    "ageS": 0,
    "stale": False,
    "duplicate": False,
    "ephemeral": False,
    "addresses": ["192.168.1.100"],
    "unknown": [],
    "progress": None,
    "operation": None,
    "trash": None,
    "error": None,
}
PAGE = {
    "vms": [VM],
    "pagination": {"page": 1, "limit": 10, "total": 25, "pages": 3, "nextCursor": "WyJ3ZWIiXQ"},
}
STATE = {
    "id": VM["id"],
    "name": "Web Server",
    "status": "running",
    "host": "h1",
    "hostOnline": True,
    "ageS": 0,
    "stale": False,
}
CONSOLE = {
    "type": "exec",
    "host": "localhost",
    "port": 3000,
    "password": "console123",
    "url": f"ws://localhost:3000/console/{VM['id']}?password=console123",
}
ERROR = {
    "code": "VM_NOT_FOUND",
    "message": "实例 vm-001 不存在",
    "details": {"name": "vm-001"},
}


class VmTrash(Camel):
    """重装前的根文件系统，可用 `/rebuild/revert` 恢复。"""

    model_config = with_example(TRASH)
    until: str = Field(description="在此之前可以恢复，之后删除")
    disk: float = Field(description="磁盘大小（GiB），计入主机已分配的磁盘；未限制时为 0")
    instance: str = Field(description="LXD 中的名称；不在任何列表中")


class Vm(Camel):
    """虚拟机或容器。"""

    model_config = with_example(VM)
    id: str = Field(
        description="`vm-` 加 uuid，重命名和迁移后不变；没有 uuid 或 uuid 重复时为 `主机:名称`"
    )
    name: str
    status: Literal["running", "stopped", "paused", "creating", "error"]
    cpu: int = Field(description="CPU核数；未限制时为主机的")
    memory: int = Field(description="内存大小（MiB）；未限制时为主机的")
    disk: float = Field(description="磁盘大小（GiB）；未限制时为存储池的")
    os: str
    ip: str = Field(description="所配置网卡的 IPv4 地址；没有时为其 IPv6 地址，都没有时为空")
    created_at: str
    updated_at: str = Field(description="配置或状态最近一次变化的时间")
    description: str
    labels: dict[str, str]
    auto_start: bool = Field(description="主机启动时自动启动")
    type: Literal["container", "virtual-machine"]
    architecture: str
    host: str
    project: str
    instance: str = Field(description="LXD 中的名称")
    ipv6: str
    networks: list[str]
    limits: VmLimits = Field(description="没有限制的为 null")
    ssh_port: int | None
    nat_ports: str | None
    host_online: bool
    age_s: int = Field(description="数据年龄（秒）；主机在线时为 0")
    stale: bool = Field(description="主机或其 LXD 不在线")
    duplicate: bool = Field(description="其 uuid 先属于集群中的另一个实例")
    ephemeral: bool = Field(description="临时实例：停止时 LXD 会将其删除")
    addresses: list[str] = Field(
        description="所配置网卡的全部全局地址；一个也没有时为虚拟机内其他接口的"
    )
    unknown: list[str] = Field(description="未知的字段，其值为 0")
    progress: int | None = Field(description="创建进度（百分比）；已创建时为 null")
    operation: str | None = Field(description="创建操作的 id；已创建时为 null")
    trash: VmTrash | None = Field(description="重装后保留的旧系统；没有时为 null")
    error: str | None = Field(
        description="创建失败的原因，仅在查询单台时给出；无法显示时为 `not_renderable`"
    )


class VmPagination(Camel):
    """Where a page stands in the list."""

    model_config = with_example(
        {"page": 1, "limit": 10, "total": 5, "pages": 1, "nextCursor": None}
    )
    page: int
    limit: int
    total: int
    pages: int
    next_cursor: str | None = Field(description="下一页的 `cursor`；最后一页为 null")


class VmPage(Camel):
    """One page of the list."""

    model_config = with_example(PAGE)
    vms: list[Vm]
    pagination: VmPagination


class VmPageAnswer(Camel):
    """A page of the list; with `fields` each entry has only these."""

    model_config = with_example({"success": True, "data": PAGE})
    success: Literal[True]
    data: VmPage


class VmAnswer(Camel):
    """One VM."""

    model_config = with_example({"success": True, "data": VM})
    success: Literal[True]
    data: Vm


class VmState(Camel):
    """The state of one VM, and how old the knowledge of it is."""

    model_config = with_example(STATE)
    id: str
    name: str
    status: Literal["running", "stopped", "paused", "creating", "error"]
    host: str
    host_online: bool
    age_s: int
    stale: bool
    error: Error = None


class VmStateAnswer(Camel):
    """The state of one VM."""

    model_config = with_example({"success": True, "data": STATE})
    success: Literal[True]
    data: VmState


class VmConsole(Camel):
    """How to sit down at one VM, once and soon."""

    model_config = with_example(CONSOLE)
    type: Literal["exec", "console", "spice"] = Field(
        description="字节流的内容：shell、文本控制台，或虚拟机屏幕的一个 SPICE 通道"
    )
    host: str = Field(description="网关的地址")
    port: int
    password: str = Field(description="一次性密码：30 秒内有效，只用于此实例的一个连接")
    url: str = Field(description="WebSocket 地址，已含密码")


class VmConsoleAnswer(Camel):
    """How to sit down at one VM."""

    model_config = with_example({"success": True, "data": CONSOLE})
    success: Literal[True]
    data: VmConsole


class VmError(Camel):
    """What went wrong; `code` is stable."""

    model_config = with_example(ERROR)
    code: str
    message: str
    details: dict[str, Any] = Field(description="相关的值；参数错误时 `errors` 列出各字段")


class VmFailure(Camel):
    """The body of every error under `/api/v1`."""

    model_config = with_example(
        {"success": False, "error": ERROR, "timestamp": "2026-01-23T03:30:00Z"}
    )
    success: Literal[False]
    error: VmError
    timestamp: str
