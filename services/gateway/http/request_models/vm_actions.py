"""The bodies of actions on instances and VMs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from services.gateway.bilingual import both
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.schema import Camel, with_example
from services.gateway.http.request_models.values import PASSWORD, DisplayName, Named
from shared.contracts.operations import LONGEST_PASSWORD

SHORTEST_PASSWORD = 8  # as hosts want it
NewPassword = Annotated[
    str,
    Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD, pattern=PASSWORD),
    WithoutControls,
]


class NoFields(BaseModel):
    """An empty body; actions need none.

    空的请求体；操作不需要请求体。
    """

    model_config = with_example({})


class VmNoFields(Camel):
    """An empty body.

    空的请求体。
    """

    model_config = with_example({})


class VmForce(Camel):
    """How to stop or restart.

    停止或重启的方式。
    """

    model_config = with_example({"force": False})
    force: Annotated[
        bool,
        Field(
            strict=True,
            description=both(
                "不等待虚拟机自行关机", "Do not wait for the VM to shut down by itself"
            ),
        ),
    ] = False


class VmRename(Camel):
    """The new display name; the name in LXD is derived from it.

    新的显示名称；LXD 中的名称由它得出。
    """

    model_config = with_example({"name": "Web Server"})
    name: DisplayName


class VmPassword(Camel):
    """The new password of root; without one it is generated.

    新的 root 密码；未给出时随机生成。
    """

    model_config = with_example({"password": "S3cretPw"})
    password: NewPassword | None = Field(
        None,
        repr=False,
        description=both(
            "8 到 128 个可打印的 ASCII 字符，不含空格和冒号",
            "8 to 128 printable ASCII characters without spaces and colons",
        ),
    )


class VmRebuild(Camel):
    """The template to rebuild from.

    重装所用的模板。
    """

    model_config = with_example({"template": "ubuntu20.04"})
    template: Named = Field(
        description=both(
            "模板，见 /api/v1/templates；须为该主机已有或可获取的镜像",
            "One of /api/v1/templates; the host must have its image, or be able to fetch it",
        ),
    )
