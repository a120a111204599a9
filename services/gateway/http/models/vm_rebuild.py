"""Rebuilding a VM from another image, and taking that back."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from services.gateway.http.models.example import Camel, with_example
from services.gateway.http.models.vm_changes import RESULT, VmResult
from services.gateway.http.models.vm_creation import Named
from services.gateway.http.models.vms import TRASH, VmTrash

REBUILT: dict[str, Any] = {
    **RESULT,
    "message": "实例 web-server 重装成功；原系统及其快照可在保留期内恢复",
    "trash": TRASH,
}


class VmRebuild(Camel):
    """重装所用的模板。"""

    model_config = with_example({"template": "ubuntu20.04"})
    template: Named = Field(
        description="模板，见 /api/v1/templates；须为该主机已有或可获取的镜像",
    )


class VmRebuilt(VmResult):
    """The VM with its new root, and what is kept of the old one."""

    model_config = with_example(REBUILT)
    message: str
    trash: VmTrash | None = Field(description="保留的旧系统；尚未完成时为 null")


class VmRebuiltAnswer(Camel):
    """What became of a rebuild or a revert."""

    model_config = with_example({"success": True, "data": REBUILT})
    success: Literal[True]
    data: VmRebuilt
