"""A new VM."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from services.gateway.bilingual import both
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.schema import Camel, absent, given, with_example
from services.gateway.http.request_models.values import (
    PASSWORD,
    Cpus,
    Description,
    DisplayName,
    Gib,
    Labels,
    Mib,
    Named,
    Number,
)
from services.gateway.http.request_models.vm_limits import VmLimitsRequest
from services.gateway.vms.placement import Rule
from shared.contracts.instance_config import MOST_KEYS
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
LXD_WORD = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SSH_KEY = r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f-\x9f]*)?$"

SshKey = Annotated[str, Field(max_length=8192, pattern=SSH_KEY), WithoutControls]
HostId = Annotated[str, Field(max_length=63), WithoutControls]
Project = Annotated[str, Field(max_length=63, pattern=LXD_WORD), WithoutControls]
CloudInit = Annotated[str, Field(max_length=LONGEST_CLOUD_INIT), WithoutControls]
Password = Annotated[str, Field(max_length=LONGEST_PASSWORD, pattern=PASSWORD), WithoutControls]


class VmNetwork(Camel):
    """What the VM is connected to: a bridge, or a network that LXD manages.

    虚拟机连接的网桥，或由 LXD 管理的网络。
    """

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
    bridge: Named | None = Field(None, description=both("type 为 bridge 时", "With type `bridge`"))
    name: Named | None = Field(None, description=both("type 为 network 时", "With type `network`"))

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
    """A new VM; memory in MiB, disk in GiB.

    新建虚拟机；大小的单位与文档相同：内存 MiB，磁盘 GiB。
    """

    model_config = with_example(REQUEST)
    name: DisplayName = Field(description=both("显示名称", "Display name"))
    template: Named = Field(
        description=both(
            "模板，见 /api/v1/templates；镜像服务器的镜像为 服务器:别名",
            "One of /api/v1/templates; an image of an image server is SERVER:ALIAS",
        )
    )
    cpu: Cpus = Field(description=both("CPU核数", "Number of CPUs"))
    memory: Mib = Field(description=both("内存大小（MiB）", "Memory in MiB"))
    disk: Gib = Field(description=both("磁盘大小（GiB）", "Disk in GiB"))
    network: VmNetwork | None = Field(
        None,
        description=both(
            "默认为主机默认配置的网络", "By default the network of the host's default profile"
        ),
    )
    auto_start: bool = Field(
        False,
        strict=True,
        description=both(
            "创建后启动，且随主机启动", "Start it when it is created, and whenever the host starts"
        ),
    )
    description: Description = ""
    host: HostId | None = Field(None, description=both("指定主机", "The host to create it on"))
    placement: Rule | None = Field(
        None,
        description=both(
            "选择主机的规则，默认 most_free_memory",
            "How a host is chosen, by default `most_free_memory`",
        ),
    )
    type: Literal["container", "virtual-machine"] | None = Field(
        None,
        description=both(
            "默认为所选主机上镜像的类型", "By default that of the image on the chosen host"
        ),
    )
    project: Project = Field("default", description=both("LXD 项目", "LXD project"))
    limits: VmLimitsRequest = Field(
        VmLimitsRequest(),
        description=both(
            "网络、磁盘和进程数的限制",
            "Limits of the network, the disk and the number of processes",
        ),
    )
    labels: Labels = Field({}, description=both("标签", "Labels"))
    ssh_keys: list[SshKey] = Field(
        [], max_length=MOST_KEYS, description=both("root 的 SSH 公钥", "Root's public SSH keys")
    )
    cloud_init: CloudInit = Field(
        "", repr=False, description=both("cloud-init 用户数据", "cloud-init user data")
    )
    root_password: Password | None = Field(
        None,
        repr=False,
        description=both("root 密码，不含空格和冒号", "Root's password, without spaces and colons"),
    )
    ssh: bool = Field(
        False,
        strict=True,
        description=both(
            "从主机端口池分配一个 SSH 端口", "Allocate an SSH port of the host's pool"
        ),
    )
    ports: Annotated[int, Number] = Field(
        0,
        ge=0,
        le=1000,
        description=both("另分配这么多个连续端口", "Allocate this many consecutive ports as well"),
    )
