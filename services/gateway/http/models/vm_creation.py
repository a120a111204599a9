"""A new VM, as a request describes it and as the first answer shows it; and the templates."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.http.free_text import WithoutControls
from services.gateway.http.models.example import Camel, Error, absent, given, with_example
from services.gateway.http.models.vm_limits import VmLimits
from services.gateway.http.models.vm_values import (
    Cpus,
    Description,
    DisplayName,
    Gib,
    Labels,
    Mib,
    Number,
)
from services.gateway.vms.placement import Rule
from shared.contracts.changes import MOST_KEYS
from shared.contracts.operations import LONGEST_CLOUD_INIT, LONGEST_PASSWORD

NETWORK = {"type": "bridge", "bridge": "br0"}
REQUEST: dict[str, Any] = {
    "name": "my-vm",
    "template": "ubuntu20.04",
    "cpu": 2,
    "memory": 2048,
    "disk": 20,
    "network": NETWORK,
    "autoStart": False,
}
CREATED = {
    "id": "vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
    "name": "my-vm",
    "status": "creating",
    "progress": 0,
    "host": "h1",
    "operation": "9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
}
TEMPLATE_IMAGE = {
    "type": "container",
    "os": "ubuntu20.04",
    "architecture": "x86_64",
    "hosts": ["h1"],
}
TEMPLATE = {
    "id": "ubuntu20.04",
    "os": "ubuntu20.04",
    "type": "container",
    "types": ["container"],
    "description": "Ubuntu 20.04 LTS",
    "hosts": ["h1"],
    "images": [TEMPLATE_IMAGE],
    "remote": "images",
}

LXD_WORD = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SSH_KEY = r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f-\x9f]*)?$"
# What a NAT script's description and chpasswd can hold.
PASSWORD = r"^[!-9;-~]+$"  # noqa: S105 - the rule for one

SshKey = Annotated[str, Field(max_length=8192, pattern=SSH_KEY), WithoutControls]
Named = Annotated[str, Field(min_length=1, max_length=255), WithoutControls]
HostId = Annotated[str, Field(max_length=63), WithoutControls]
Project = Annotated[str, Field(max_length=63, pattern=LXD_WORD), WithoutControls]
CloudInit = Annotated[str, Field(max_length=LONGEST_CLOUD_INIT), WithoutControls]
Password = Annotated[str, Field(max_length=LONGEST_PASSWORD, pattern=PASSWORD), WithoutControls]


class VmNetwork(Camel):
    """Where the VM is connected: a bridge, or a network that LXD manages."""

    model_config = with_example(
        NETWORK,
        oneOf=[
            {
                "allOf": [
                    given("type", const="bridge"),
                    given("bridge", type="string"),
                    absent("name"),
                ]
            },
            {
                "allOf": [
                    given("type", const="network"),
                    given("name", type="string"),
                    absent("bridge"),
                ]
            },
        ],
    )
    type: Literal["bridge", "network"]
    bridge: Named | None = Field(None, description="type 为 bridge 时")
    name: Named | None = Field(None, description="type 为 network 时")

    @property
    def chosen(self) -> str:
        """The name of the bridge or network."""
        return self.bridge or self.name or ""

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        needed, other = (
            (self.bridge, self.name) if self.type == "bridge" else (self.name, self.bridge)
        )
        if needed is None or other is not None:
            raise PydanticCustomError("network_name", "the name does not fit the type")
        return self


class VmCreation(Camel):
    """新建虚拟机；大小的单位与文档相同：内存 MiB，磁盘 GiB。"""

    model_config = with_example(REQUEST)
    name: DisplayName = Field(description="显示名称")
    template: Named = Field(
        description="模板，见 /api/v1/templates；镜像服务器的镜像为 服务器:别名"
    )
    cpu: Cpus = Field(description="CPU核数")
    memory: Mib = Field(description="内存大小（MiB）")
    disk: Gib = Field(description="磁盘大小（GiB）")
    network: VmNetwork | None = Field(None, description="默认为主机默认配置的网络")
    auto_start: bool = Field(False, strict=True, description="创建后启动，且随主机启动")
    description: Description = ""
    host: HostId | None = Field(None, description="指定主机")
    placement: Rule | None = Field(None, description="选择主机的规则，默认 most_free_memory")
    type: Literal["container", "virtual-machine"] | None = Field(
        None, description="默认为所选主机上镜像的类型"
    )
    project: Project = Field("default", description="LXD 项目")
    limits: VmLimits = Field(VmLimits(), description="网络、磁盘和进程数的限制")
    labels: Labels = Field({}, description="标签")
    ssh_keys: list[SshKey] = Field([], max_length=MOST_KEYS, description="root 的 SSH 公钥")
    cloud_init: CloudInit = Field("", repr=False, description="cloud-init 用户数据")
    root_password: Password | None = Field(
        None, repr=False, description="root 密码，不含空格和冒号"
    )
    ssh: bool = Field(False, strict=True, description="从主机端口池分配一个 SSH 端口")
    ports: Annotated[int, Number] = Field(0, ge=0, le=1000, description="另分配这么多个连续端口")


class VmCreated(BaseModel):
    """A VM that is being created; `operation` tells its progress."""

    model_config = with_example(CREATED)
    id: str
    name: str
    status: Literal["running", "stopped", "paused", "creating", "error"]
    progress: int = Field(ge=0, le=100)
    host: str
    operation: str


class VmCreatedAnswer(BaseModel):
    """The answer to a creation."""

    model_config = with_example({"success": True, "data": CREATED})
    success: Literal[True]
    data: VmCreated


class TemplateImage(BaseModel):
    """What some hosts have in their stores under a template's name."""

    model_config = with_example(TEMPLATE_IMAGE)
    type: Literal["container", "virtual-machine"]
    os: str
    architecture: str
    hosts: list[str]


class Template(BaseModel):
    """What `template` of a new VM may be."""

    model_config = with_example(TEMPLATE)
    id: str
    os: str
    type: Literal["container", "virtual-machine"]
    types: list[Literal["container", "virtual-machine"]] = Field(
        description="创建时的 type 可为其中之一，默认为所选主机上镜像的类型"
    )
    description: str
    hosts: list[str] = Field(description="本地已有其镜像的主机")
    images: list[TemplateImage] = Field(description="各主机本地的镜像；同名镜像可能不同")
    remote: str | None = Field(description="可从此镜像服务器获取；没有时为 null")
    error: Error = None


class TemplateList(BaseModel):
    """All templates."""

    model_config = with_example({"templates": [TEMPLATE]})
    templates: list[Template]


class TemplateListAnswer(BaseModel):
    """All templates."""

    model_config = with_example({"success": True, "data": {"templates": [TEMPLATE]}})
    success: Literal[True]
    data: TemplateList
