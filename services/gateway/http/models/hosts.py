"""The service, its health and its hosts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from services.gateway.http.models.example import Error, Percent, with_example

HOST = {
    "cpu_cores": 4,
    "cpu_percent": 35.2,
    "memory_total": 16384,
    "memory_used": 8192,
    "memory_percent": 50.0,
    "disk_total": 500,
    "disk_used": 250,
    "disk_percent": 50.0,
    "hosts": 1,
    "stale": False,
    "age_s": 2,
    "unknown": [],
}


class Root(BaseModel):
    """What this service is."""

    model_config = with_example(
        {
            "name": "LXD管理面板API",
            "version": "1.0.0",
            "status": "running",
            "timestamp": "2026-01-23T11:30:00",
            "timestamp_utc": "2026-01-23T03:30:00Z",
        }
    )
    name: str
    version: str
    status: str
    timestamp: str
    timestamp_utc: str


class HostHealth(BaseModel):
    """Whether one host can be worked with."""

    model_config = with_example({"host": "h1", "online": True, "lxd_connected": True})
    host: str
    online: bool
    lxd_connected: bool


class Health(BaseModel):
    """Healthy while the LXD of any host is connected."""

    model_config = with_example(
        {
            "status": "healthy",
            "lxd_connected": True,
            "hosts": [{"host": "h1", "online": True, "lxd_connected": True}],
        }
    )
    status: Literal["healthy", "unhealthy"]
    lxd_connected: bool
    hosts: list[HostHealth]


class HostInfo(BaseModel):
    """One host, or the sums of several; memory in MiB, disk in GiB."""

    model_config = with_example(HOST)
    cpu_cores: int
    cpu_percent: Percent
    memory_total: int
    memory_used: int
    memory_percent: Percent
    disk_total: int
    disk_used: int
    disk_percent: Percent
    hosts: int = Field(description="计入的主机数")
    stale: bool = Field(description="其中有主机不在线")
    age_s: int = Field(description="最旧数据的年龄（秒）")
    unknown: list[str] = Field(description="未能测得的字段")


class LeftOut(BaseModel):
    """How much of what a host has told is beyond its budget, and not shown."""

    model_config = with_example({"instances": 0, "samples": 0, "images": 0})
    instances: int
    samples: int
    images: int


class Host(BaseModel):
    """One host of the fleet."""

    model_config = with_example(
        {
            "host": "h1",
            "online": True,
            "lxd_connected": True,
            "stale": False,
            "trusted": True,
            "fingerprint": "3c5f2a",
            "server": "lxd",
            "server_version": "5.0.2",
            "server_name": "h1",
            "age_s": 1.2,
            "inventory_age_s": 30.5,
            "clock_skew_s": 0.0,
            "instances": 62,
            "duplicates": 0,
            "left_out": {"instances": 0, "samples": 0, "images": 0},
            "resources": HOST,
        }
    )
    host: str
    online: bool
    lxd_connected: bool
    stale: bool
    trusted: bool = Field(description="证书与首次登记的一致")
    fingerprint: str
    server: str
    server_version: str
    server_name: str
    age_s: float | None
    inventory_age_s: float | None
    clock_skew_s: float | None
    instances: int
    duplicates: int = Field(description="其中 uuid 先属于另一个实例的数量")
    left_out: LeftOut = Field(description="该主机上报、但超出每主机上限而未显示的数量")
    resources: HostInfo
    error: Error = None


class Alive(BaseModel):
    """The process answers."""

    model_config = with_example({"status": "alive"})
    status: Literal["alive"]


class Ready(BaseModel):
    """This gateway can serve: all checks are passed."""

    model_config = with_example({"status": "ready", "checks": {"database": True, "fleet": True}})
    status: Literal["ready"]
    checks: dict[str, bool]
