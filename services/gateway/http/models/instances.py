"""Instances: the document's three data models, with our additions."""

from __future__ import annotations

from pydantic import BaseModel, Field

from services.gateway.http.models.example import Error, Percent, with_example

RESOURCES = {
    "cpu_percent": 47.5,
    "memory_used": 256,
    "memory_total": 512,
    "disk_used": 2048,
    "disk_total": 10240,
    "network_rx": 100,
    "network_tx": 50,
    "unknown": [],
    "sampled_at_utc": "2026-01-23T03:30:00Z",
}

INFO = {
    "name": "test1",
    "status": "Running",
    "ipv4": "10.0.0.100",
    "ipv6": None,
    "architecture": "x86_64",
    "created_at": "2026-01-20T10:00:00",
    "description": "test1 20001 password123 30000 30025",
    "created_at_utc": "2026-01-20T02:00:00Z",
    "host": "h1",
    "host_online": True,
    "age_s": 0,
    "stale": False,
    "project": "default",
    "type": "container",
    "duplicate": False,
    "ephemeral": False,
}


class InstanceInfo(BaseModel):
    """实例基本信息。"""

    model_config = with_example(INFO)
    name: str
    status: str = Field(description="Running, Stopped, Frozen 等")
    ipv4: str | None = Field(description="所配置网卡的第一个全局地址；没有时为 null")
    ipv6: str | None = Field(description="所配置网卡的第一个全局地址；没有时为 null")
    architecture: str
    created_at: str = Field(description="网关本地时间，不带时区；未知时为 1970 年")
    description: str
    created_at_utc: str | None = Field(description="未知时为 null")
    host: str
    host_online: bool
    age_s: int = Field(description="数据年龄（秒）；主机在线时为 0")
    stale: bool = Field(description="主机或其 LXD 不在线")
    project: str
    type: str = Field(description="container 或 virtual-machine")
    duplicate: bool = Field(description="其 uuid 先属于集群中的另一个实例")
    ephemeral: bool = Field(description="临时实例：停止时 LXD 会将其删除")
    error: Error = None


class ResourceUsage(BaseModel):
    """资源使用；大小和流量的单位是 MiB。"""

    model_config = with_example(RESOURCES)
    cpu_percent: Percent
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    network_rx: int
    network_tx: int
    unknown: list[str] = Field(description="未能测得的字段，其值为 0")
    sampled_at_utc: str | None


class InstanceDetail(BaseModel):
    """实例详情。"""

    model_config = with_example(
        {
            "info": INFO,
            "resources": RESOURCES,
            "ssh_port": 20001,
            "nat_ports": "30000-30025",
            "root_password": "password123",
            "addresses": ["10.0.0.100"],
        }
    )
    info: InstanceInfo
    resources: ResourceUsage
    ssh_port: int | None
    nat_ports: str | None
    root_password: str | None = Field(description="无权查看时为 ********")
    addresses: list[str] = Field(
        description="所配置网卡的全部全局地址；一个也没有时为实例内其他接口的"
    )
