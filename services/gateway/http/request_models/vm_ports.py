"""The ports of a host that shall lead to a VM."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from services.gateway.bilingual import both
from services.gateway.http.request_models.schema import with_example
from services.gateway.http.request_models.values import Number
from shared.contracts.bounds import MOST_DEVICES

FORWARD = {"protocol": "tcp", "listen": 30000, "connect": 30000, "count": 26}
READ_ONLY = {"address", "ssh", "others"}

Port = Annotated[int, Field(ge=1, le=65535), Number]


class VmForwardRequest(BaseModel):
    """`count` ports of the host, from `listen` on, that lead to those from `connect` on.

    主机上从 `listen` 起的 `count` 个端口，通向虚拟机上从 `connect` 起的端口。
    """

    model_config = with_example(FORWARD)
    protocol: Literal["tcp", "udp"] = "tcp"
    listen: Annotated[int, Field(ge=0, le=65535), Number] = Field(
        0,
        description=both(
            "主机端口；0 表示由主机从端口池选择",
            "Port of the host; 0 lets the host choose one of its pool",
        ),
    )
    connect: Port = Field(description=both("虚拟机端口；22 即 SSH", "Port of the VM; 22 is SSH"))
    count: Port = Field(1, description=both("连续端口数", "Number of consecutive ports"))


class VmPortsChange(BaseModel):
    """Replaces all forwards. The answer of GET may be sent back; its read-only fields are ignored.

    替换全部转发；查询结果可原样提交，其只读字段被忽略。
    """

    model_config = with_example({"forwards": [FORWARD]})
    forwards: list[VmForwardRequest] = Field(max_length=MOST_DEVICES)

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_only_read(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {field: value for field, value in body.items() if field not in READ_ONLY}
