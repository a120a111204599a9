"""Changes of VMs: what a request may say, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.gateway.http.free_text import FreeText, WithoutControls
from services.gateway.http.models.example import Camel, ReadLaterAs, with_example
from services.gateway.http.models.vm_creation import PASSWORD
from services.gateway.http.models.vm_limits import LIMITS, VmLimits
from services.gateway.http.models.vm_values import (
    Cpus,
    Description,
    DisplayName,
    Gib,
    Labels,
    Mib,
)
from services.gateway.responses.vms import FIELDS
from shared.contracts.operations import LONGEST_PASSWORD

RESULT = {
    "id": "vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
    "name": "Web Server",
    "status": "running",
}
SHORTEST_PASSWORD = 8  # as hosts want it
NewPassword = Annotated[
    str,
    Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD, pattern=PASSWORD),
    WithoutControls,
]
SIZES = ("cpu", "memory", "disk")
WRITABLE = ("name", "cpu", "memory", "disk", "description", "autoStart", "labels", "limits")


class VmResult(Camel):
    """The VM that was changed."""

    model_config = with_example(RESULT)
    id: str
    name: str
    status: Literal["running", "stopped", "paused", "creating", "error", "deleted"]


class VmResultAnswer(Camel):
    """What became of a change; with 202 the VM as it stands while the change goes on."""

    model_config = with_example({"success": True, "data": RESULT})
    success: Literal[True]
    data: VmResult


class VmNoFields(Camel):
    """A body that says nothing."""

    model_config = with_example({})


class VmForce(Camel):
    """停止或重启的方式。"""

    model_config = with_example({"force": False})
    force: Annotated[bool, Field(strict=True, description="不等待虚拟机自行关机")] = False


class VmUpdate(Camel):
    """要更改的配置；未给出的字段不变，只读字段被忽略，与现状相同的值不作更改。"""

    model_config = with_example(
        {
            "cpu": 4,
            "memory": 4096,
            "disk": 40,
            "autoStart": True,
            "labels": {"env": "prod"},
            "limits": LIMITS,
        }
    )
    name: FreeText | None = Field(None, description="须与现有名称相同；改名用 `/rename`")
    cpu: Cpus | None = Field(None, description="CPU核数")
    memory: Mib | None = Field(None, description="内存大小（MiB）")
    disk: Gib | None = Field(None, description="磁盘大小（GiB）")
    description: Description | None = None
    auto_start: Annotated[bool, Field(strict=True)] | None = Field(
        None, description="主机启动时自动启动"
    )
    labels: Labels | None = Field(None, description="替换全部标签")
    limits: VmLimits | None = Field(None, description="网络、磁盘和进程数的限制，立即生效")

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_only_read(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        unknown = body.get("unknown")
        not_said = {*FIELDS} - {*WRITABLE}
        if isinstance(unknown, list):  # an answer sent back shows as 0 what it did not know
            not_said |= {field for field in SIZES if field in unknown and body.get(field) == 0}
        return {field: value for field, value in body.items() if field not in not_said}

    def given(self) -> dict[str, object]:
        """Return the fields that are to be changed."""
        given = self.model_dump(exclude_none=True, exclude={"limits"})
        return given | ({"limits": self.limits.given()} if self.limits else {})


VmUpdateBody = Annotated[dict[str, Any], ReadLaterAs(VmUpdate)]


class VmUpdated(VmResult):
    """The VM that was changed, and which of the changes count from its next start."""

    model_config = with_example({**RESULT, "needsRestart": ["cpu"]})
    needs_restart: list[str]


class VmUpdatedAnswer(Camel):
    """What became of an update."""

    model_config = with_example({"success": True, "data": {**RESULT, "needsRestart": ["cpu"]}})
    success: Literal[True]
    data: VmUpdated


class VmPassword(Camel):
    """新的 root 密码；未给出时随机生成。"""

    model_config = with_example({"password": "S3cretPw"})
    password: NewPassword | None = Field(
        None, repr=False, description="8 到 128 个可打印的 ASCII 字符，不含空格和冒号"
    )


class VmPasswordSet(VmResult):
    """The VM whose password was set; one that was generated is shown here and never again."""

    model_config = with_example({**RESULT, "password": "pV3xT0Zk1mQ9sYb2cW8d"})
    password: str | None = Field(description="生成的密码，只显示一次；由请求给出时为 null")


class VmPasswordAnswer(Camel):
    """What became of a new password; with 202 it may not be in force yet."""

    model_config = with_example(
        {"success": True, "data": {**RESULT, "password": "pV3xT0Zk1mQ9sYb2cW8d"}}
    )
    success: Literal[True]
    data: VmPasswordSet


class VmRename(Camel):
    """新的显示名称；LXD 中的名称由它得出。"""

    model_config = with_example({"name": "Web Server"})
    name: DisplayName
