"""A new snapshot of a VM."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from services.gateway.bilingual import both
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.schema import Camel, with_example
from services.gateway.http.request_models.values import Description

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
