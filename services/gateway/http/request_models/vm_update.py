"""What may be changed of a VM."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from services.gateway.bilingual import both
from services.gateway.http.free_text import FreeText
from services.gateway.http.request_models.schema import Camel, ReadLaterAs, with_example
from services.gateway.http.request_models.values import Cpus, Description, Gib, Labels, Mib
from services.gateway.http.request_models.vm_limits import LIMITS, VmLimitsRequest
from services.gateway.responses.vms import FIELDS

SIZES = ("cpu", "memory", "disk")
WRITABLE = ("name", "cpu", "memory", "disk", "description", "autoStart", "labels", "limits")


class VmUpdate(Camel):
    """What to change. Fields not given stay as they are, read-only fields are ignored.

    要更改的配置；未给出的字段不变，只读字段被忽略，与现状相同的值不作更改。
    """

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
    name: FreeText | None = Field(
        None,
        description=both(
            "须与现有名称相同；改名用 `/rename`", "Must be its present name; `/rename` changes it"
        ),
    )
    cpu: Cpus | None = Field(None, description=both("CPU核数", "Number of CPUs"))
    memory: Mib | None = Field(None, description=both("内存大小（MiB）", "Memory in MiB"))
    disk: Gib | None = Field(None, description=both("磁盘大小（GiB）", "Disk in GiB"))
    description: Description | None = None
    auto_start: Annotated[bool, Field(strict=True)] | None = Field(
        None, description=both("主机启动时自动启动", "Start it when the host starts")
    )
    labels: Labels | None = Field(None, description=both("替换全部标签", "Replaces all labels"))
    limits: VmLimitsRequest | None = Field(
        None,
        description=both(
            "网络、磁盘和进程数的限制，立即生效",
            "Limits of the network, the disk and the number of processes, effective at once",
        ),
    )

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
