"""The ports of a host that lead to a VM."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from services.gateway.http.models.example import with_example
from services.gateway.http.models.vm_values import Number
from shared.contracts.bounds import MOST_DEVICES

FORWARD = {"protocol": "tcp", "listen": 30000, "connect": 30000, "count": 26}
PORTS = {
    "address": "203.0.113.5",
    "ssh": 20001,
    "forwards": [{"protocol": "tcp", "listen": 20001, "connect": 22, "count": 1}, FORWARD],
    "others": [],
}
READ_ONLY = {"address", "ssh", "others"}

Port = Annotated[int, Field(ge=1, le=65535), Number]


class VmForward(BaseModel):
    """`count` ports of the host, from `listen` on, that lead to those from `connect` on."""

    model_config = with_example(FORWARD)
    protocol: Literal["tcp", "udp"] = "tcp"
    listen: Annotated[int, Field(ge=0, le=65535), Number] = Field(
        0, description="主机端口；0 表示由主机从端口池选择"
    )
    connect: Port = Field(description="虚拟机端口；22 即 SSH")
    count: Port = Field(1, description="连续端口数")


class VmPortsChange(BaseModel):
    """替换全部转发；查询结果可原样提交，其只读字段被忽略。"""

    model_config = with_example({"forwards": [FORWARD]})
    forwards: list[VmForward] = Field(max_length=MOST_DEVICES)

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_only_read(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {field: value for field, value in body.items() if field not in READ_ONLY}


class VmProxy(BaseModel):
    """A proxy device that is not managed here, as LXD has it."""

    model_config = with_example(
        {
            "device": "web",
            "listen": "tcp:0.0.0.0:80",
            "connect": "tcp:127.0.0.1:80",
            "options": {"proxy_protocol": "true"},
        }
    )
    device: str
    listen: str
    connect: str
    options: dict[str, str] = Field(
        description="其余设置，如 `bind`、`nat`、`proxy_protocol`；`bind=instance` 不占用主机端口"
    )


class VmPorts(BaseModel):
    """All that leads to a VM."""

    model_config = with_example(PORTS)
    address: str = Field(description="端口所在的主机地址；主机没有端口池时为空")
    ssh: int | None = Field(description="通向 SSH 的主机端口")
    forwards: list[VmForward]
    others: list[VmProxy] = Field(description="不由此接口管理的代理设备")


class VmPortsAnswer(BaseModel):
    """All that leads to a VM."""

    model_config = with_example({"success": True, "data": PORTS})
    success: Literal[True]
    data: VmPorts
