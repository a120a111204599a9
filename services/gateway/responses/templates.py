"""Templates as the VM API v1 shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from services.gateway.responses.fields import InstanceType, NotRenderable, described
from services.gateway.vms.templates import ListedTemplate


class TemplateImage(Struct, frozen=True):
    """What some hosts have in their stores under a template's name.

    某些主机本地以模板名称存放的镜像。
    """

    type: InstanceType
    os: str
    architecture: str
    hosts: list[str]


class TemplateView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `template` of a new VM may be.

    新建虚拟机的 `template` 可以是什么。
    """

    id: str
    os: str
    type: InstanceType
    types: Annotated[
        tuple[InstanceType, ...],
        described(
            "创建时的 type 可为其中之一，默认为所选主机上镜像的类型",
            "What `type` of a new VM may be; by default that of the image on the chosen host",
        ),
    ]
    description: str
    hosts: Annotated[
        list[str],
        described("本地已有其镜像的主机", "Hosts that have an image of it in their own store"),
    ]
    images: Annotated[
        list[TemplateImage],
        described(
            "各主机本地的镜像；同名镜像可能不同",
            "The images in the hosts' stores; under one name they may differ",
        ),
    ]
    remote: Annotated[
        str | None,
        described(
            "可从此镜像服务器获取；没有时为 null",
            "The image server that it may be fetched from; null if there is none",
        ),
    ]
    error: NotRenderable = None


class TemplateList(Struct, frozen=True):
    """All templates.

    全部模板。
    """

    templates: list[TemplateView]

    @classmethod
    def examples(cls) -> list[TemplateList]:
        """Return examples for OpenAPI."""
        template = TemplateView(
            id="ubuntu20.04",
            os="ubuntu20.04",
            type="container",
            types=("container",),
            description="Ubuntu 20.04 LTS",
            hosts=["h1"],
            images=[TemplateImage("container", "ubuntu20.04", "x86_64", ["h1"])],
            remote="images",
        )
        return [TemplateList([template])]


def template_view(listed: ListedTemplate, error: str | None = None) -> TemplateView:
    """Return one template; `error` says that nothing but its name and hosts can be shown."""
    template = listed.template
    return TemplateView(
        id=template.id,
        os=template.os,
        type=template.type,
        types=template.types,
        description=template.description,
        hosts=listed.hosts,
        images=[TemplateImage(*image) for image in listed.images],
        remote=template.remote or None,
        error=error,
    )
