"""One action on many VMs, and what became of it for each."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.http.free_text import WithoutControls
from services.gateway.http.models.example import absent, given, with_example
from services.gateway.http.models.vms import VmError

MOST_VMS = 1000

DONE = {
    "id": "vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
    "name": "Web Server",
    "success": True,
    "status": "running",
    "operation": "0b6e3a52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
    "state": "done",
    "error": None,
}
RESULTS = {"results": [DONE], "succeeded": 1, "failed": 0, "unfinished": 0}

VmId = Annotated[str, Field(min_length=1, max_length=255), WithoutControls]
Name = Annotated[str, Field(max_length=63), WithoutControls]
Label = Annotated[str, Field(min_length=1, max_length=512), WithoutControls]


class VmSelector(BaseModel):
    """选择虚拟机；各条件须全部符合，至少给出一个。"""

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
    label: list[Label] = Field([], max_length=64, description="标签 `键` 或 `键=值`")
    search: VmId | None = None

    @model_validator(mode="after")
    def _selects(self) -> Self:
        # An empty one would mean the whole fleet, which nobody writes on purpose.
        if not any(self.model_dump().values()):
            raise PydanticCustomError("selects_nothing", "no condition")
        return self


class VmActions(BaseModel):
    """对多台虚拟机执行同一操作；`ids` 和 `selector` 二者取一。"""

    model_config = with_example(
        {"action": "start", "ids": [DONE["id"]]},
        oneOf=[
            {"allOf": [given("ids", type="array"), absent("selector")]},
            {"allOf": [given("selector", type="object"), absent("ids")]},
        ],
    )
    action: Literal["start", "stop", "restart", "pause", "resume", "delete"]
    ids: list[VmId] | None = Field(None, min_length=1, max_length=MOST_VMS)
    selector: VmSelector | None = None
    force: bool = Field(False, strict=True, description="不等待关机；删除时先停止")

    @model_validator(mode="after")
    def _names_them_once(self) -> Self:
        if (self.ids is None) == (self.selector is None):
            raise PydanticCustomError("ids_or_selector", "one of them")
        return self


class VmActionResult(BaseModel):
    """What became of it for one VM; `state` is its operation's, null where there is none."""

    model_config = with_example(DONE)
    id: str
    name: str
    success: bool
    status: Literal["running", "stopped", "paused", "creating", "error", "deleted"] | None
    operation: str | None
    state: str | None
    error: VmError | None


class VmActionResults(BaseModel):
    """A result for each VM, in the order of the request."""

    model_config = with_example(RESULTS)
    results: list[VmActionResult]
    succeeded: int
    failed: int
    unfinished: int = Field(description="已受理，尚未完成")


class VmActionResultsAnswer(BaseModel):
    """What became of an action on many VMs; `success` says that each of them was tried."""

    model_config = with_example({"success": True, "data": RESULTS})
    success: Literal[True]
    data: VmActionResults
