"""One action on many VMs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.bilingual import both
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.schema import absent, given, with_example

MOST_VMS = 1000

VmId = Annotated[str, Field(min_length=1, max_length=255), WithoutControls]
Name = Annotated[str, Field(max_length=63), WithoutControls]
Label = Annotated[str, Field(min_length=1, max_length=512), WithoutControls]


class VmSelector(BaseModel):
    """Selects VMs by conditions, all of which must hold; at least one is required.

    选择虚拟机；各条件须全部符合，至少给出一个。
    """

    model_config = with_example(
        {"status": "stopped", "label": ["env=prod"]},
        anyOf=[
            *(
                given(field, type="string", minLength=1)
                for field in ("status", "host", "project", "type", "search")
            ),
            given("label", type="array", minItems=1),
        ],
    )
    status: Literal["running", "stopped", "paused", "creating", "error"] | None = None
    host: Name | None = None
    project: Name | None = None
    type: Literal["container", "virtual-machine"] | None = None
    label: list[Label] = Field(
        [], max_length=64, description=both("标签 `键` 或 `键=值`", "Labels: `key` or `key=value`")
    )
    search: VmId | None = None

    @model_validator(mode="after")
    def _selects(self) -> Self:
        # An empty one would mean the whole fleet, which nobody writes on purpose.
        if not any(self.model_dump().values()):
            raise PydanticCustomError("selects_nothing", "no condition")
        return self


class VmActions(BaseModel):
    """One action on several VMs, named by either `ids` or `selector`.

    对多台虚拟机执行同一操作；`ids` 和 `selector` 二者取一。
    """

    model_config = with_example(
        {"action": "start", "ids": ["vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11"]},
        oneOf=[
            {"allOf": [given("ids", type="array"), absent("selector")]},
            {"allOf": [given("selector", type="object"), absent("ids")]},
        ],
    )
    action: Literal["start", "stop", "restart", "pause", "resume", "delete"]
    ids: list[VmId] | None = Field(None, min_length=1, max_length=MOST_VMS)
    selector: VmSelector | None = None
    force: bool = Field(
        False,
        strict=True,
        description=both(
            "不等待关机；删除时先停止", "Do not wait for a clean shutdown; stop before deleting"
        ),
    )

    @model_validator(mode="after")
    def _names_them_once(self) -> Self:
        if (self.ids is None) == (self.selector is None):
            raise PydanticCustomError("ids_or_selector", "one of them")
        return self
