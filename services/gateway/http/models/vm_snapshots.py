"""Snapshots of VMs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from services.gateway.http.free_text import WithoutControls
from services.gateway.http.models.example import Camel, Error, with_example
from services.gateway.http.models.vm_changes import RESULT, VmResult
from services.gateway.http.models.vm_values import Description

SNAPSHOT = {
    "id": "backup-2024-01-01",
    "name": "backup-2024-01-01",
    "description": "系统更新前的备份",
    "createdAt": "2024-01-01T12:00:00Z",
    "size": 1048576,
    "stateful": False,
    "expiresAt": None,
}
# What LXD takes, and finds again: it makes a directory of this name, and LXD 5.0 reads what stands
# in a path as escaped twice.
NAME = r"^[^\s/%?+&.\x00-\x1f\x7f-\x9f][^\s/%?+&\x00-\x1f\x7f-\x9f]{0,62}$"
_NAME = re.compile(NAME)


def _a_name(text: object) -> object:
    if isinstance(text, str) and not _NAME.fullmatch(text):
        raise PydanticCustomError("snapshot_name", "no name of a snapshot")
    return text


NewName = Annotated[str, Field(pattern=NAME), BeforeValidator(_a_name), WithoutControls]


class VmSnapshot(Camel):
    """一个快照。"""

    model_config = with_example(SNAPSHOT)
    id: str = Field(description="LXD 中的快照名称")
    name: str
    description: str
    created_at: str
    size: int | None = Field(description="字节数；存储池不提供时为 null")
    stateful: bool = Field(description="包含内存状态")
    expires_at: str | None
    error: Error = None


class VmSnapshots(Camel):
    """All snapshots of one VM, oldest first."""

    model_config = with_example({"snapshots": [SNAPSHOT]})
    snapshots: list[VmSnapshot]


class VmSnapshotsAnswer(Camel):
    """All snapshots of one VM."""

    model_config = with_example({"success": True, "data": {"snapshots": [SNAPSHOT]}})
    success: Literal[True]
    data: VmSnapshots


class VmSnapshotCreation(Camel):
    """要创建的快照。"""

    model_config = with_example({"name": "backup-2024-01-01", "description": "系统更新前的备份"})
    name: NewName = Field(description="1 到 63 个字符，不含空格和 `/%?+&`，不以 `.` 开头")
    description: Description = ""
    stateful: Annotated[bool, Field(strict=True)] = Field(
        False, description="包含内存状态；须 LXD 主机支持（CRIU）"
    )


class VmSnapshotResult(VmResult):
    """The VM whose snapshot was made, restored or deleted."""

    model_config = with_example({**RESULT, "snapshot": "backup-2024-01-01"})
    snapshot: str


class VmSnapshotResultAnswer(Camel):
    """What became of a change of snapshots."""

    model_config = with_example(
        {"success": True, "data": {**RESULT, "snapshot": "backup-2024-01-01"}}
    )
    success: Literal[True]
    data: VmSnapshotResult
