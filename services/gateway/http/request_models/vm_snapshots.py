"""Snapshots of a VM: a new one, its marks, what a restore does, and a new VM made of one."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, StrictBool
from pydantic_core import PydanticCustomError

from services.gateway.bilingual import both
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.schema import Camel, with_example
from services.gateway.http.request_models.values import Description, DisplayName, Labels
from shared.contracts.policies import MOST_CHOICES

# What LXD takes, and finds again: it makes a directory of this name, and LXD 5.0 reads what stands
# in a path as escaped twice.
NAME = r"^[^\s/%?+&.\x00-\x1f\x7f-\x9f][^\s/%?+&\x00-\x1f\x7f-\x9f]{0,62}$"
_NAME = re.compile(NAME)


def _a_name(text: object) -> object:
    if isinstance(text, str) and not _NAME.fullmatch(text):
        raise PydanticCustomError("snapshot_name", "no name of a snapshot")
    return text


NewName = Annotated[str, Field(pattern=NAME), BeforeValidator(_a_name), WithoutControls]


class VmSnapshotCreation(Camel):
    """The snapshot to create.

    要创建的快照。
    """

    model_config = with_example({"name": "backup-2024-01-01", "description": "系统更新前的备份"})
    name: NewName = Field(
        description=both(
            "1 到 63 个字符，不含空格和 `/%?+&`，不以 `.` 开头",
            "1 to 63 characters without spaces and `/%?+&`; it does not start with `.`",
        )
    )
    description: Description = ""
    stateful: Annotated[bool, Field(strict=True)] = Field(
        False,
        description=both(
            "包含内存状态；须 LXD 主机支持（CRIU）",
            "Include the state of the memory, which the LXD host must support (CRIU)",
        ),
    )


TAG = r"^[A-Za-z0-9._-]{1,63}$"
Tag = Annotated[str, Field(pattern=TAG), WithoutControls]


class VmSnapshotMarksChange(Camel):
    """The marks of a snapshot; those not given are removed.

    快照的标记；未给出的被清除。
    """

    model_config = with_example({"protected": True, "tags": ["release"]})
    protected: Annotated[bool, Field(strict=True)] = Field(
        False,
        description=both("任何策略都不得删除它", "Let no policy delete it"),
    )
    tags: list[Tag] = Field(
        [],
        max_length=MOST_CHOICES,
        description=both("供策略的 `keepTags` 使用", "For `keepTags` of policies"),
    )


def _yes_no_or_a_name(value: object) -> object:
    if not isinstance(value, bool | str):
        raise PydanticCustomError("safety_snapshot", "neither true nor false nor a name")
    return _a_name(value)


Safety = Annotated[
    StrictBool | Annotated[str, Field(pattern=NAME)],
    BeforeValidator(_yes_no_or_a_name),
    WithoutControls,
]


class VmRestore(Camel):
    """How to restore.

    恢复的方式。
    """

    model_config = with_example({"safetySnapshot": True})
    safety_snapshot: Safety = Field(
        False,
        description=both(
            "先为现状创建快照：true 时自动命名，或给出名称；失败时不恢复",
            "Take a snapshot of what is there first: `true` names it, or its name. If that fails, "
            "nothing is restored",
        ),
    )


class VmClone(Camel):
    """The new VM; it has the snapshot's configuration, a MAC address of its own, and no ports.

    新的虚拟机；沿用快照的配置，有自己的 MAC 地址，没有端口转发。
    """

    model_config = with_example({"name": "web-restored", "autoStart": False})
    name: DisplayName = Field(description=both("显示名称", "Display name"))
    auto_start: Annotated[bool, Field(strict=True)] = Field(
        False,
        description=both(
            "创建后启动，且随主机启动", "Start it when it is created, and whenever the host starts"
        ),
    )
    description: Description = ""
    labels: Labels = Field({}, description=both("标签", "Labels"))
