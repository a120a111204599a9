"""What LXD has written about a VM."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.gateway.http.models.example import Camel, with_example

LOG = {
    "log": "lxc web 20260123033000.123 ERROR start - start.c:start:2197 - No such file or "
    'directory - Failed to exec "/sbin/init"',
    "truncated": False,
}


class VmLog(Camel):
    """最近一次启动的日志。"""

    model_config = with_example(LOG)
    log: str = Field(description="容器为 lxc.log，虚拟机为 qemu.log；启动正常时可为空")
    truncated: bool = Field(description="true：只有末尾部分")


class VmLogAnswer(Camel):
    """The log of one VM."""

    model_config = with_example({"success": True, "data": LOG})
    success: Literal[True]
    data: VmLog
