"""How the fields of a response say what they mean: to msgspec, which makes OpenAPI's schemas.

`Annotated[int, described("主机数", "Number of hosts")]` costs nothing while nobody asks for a
schema: annotations are evaluated then.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, cast

from msgspec import Meta, Raw

from services.gateway.bilingual import both
from services.gateway.error_boundary import NOT_RENDERABLE
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE

T = TypeVar("T")


def described(zh: str, en: str) -> Meta:
    """Return the description of a field, in both languages."""
    return Meta(description=both(zh, en))


def one_of(*values: str) -> Meta:
    """Return the rule that a text is one of these."""
    return Meta(extra_json_schema={"enum": list(values)})


def always(value: Any) -> Meta:
    """Return the rule that a field has this value."""
    return Meta(extra_json_schema={"const": value})


def encoded_as(_: type[T], text: bytes) -> T:
    """Return an encoded value as one of its own type, for a struct that holds it.

    msgspec writes it as it is. Nobody may read its fields.
    """
    return cast("T", Raw(text))


Percent = Annotated[float, Meta(ge=0, le=100)]
InstanceType = Annotated[str, one_of(CONTAINER, VIRTUAL_MACHINE)]
# Of an entry of which nothing but its place and state can be shown.
NotRenderable = Annotated[
    Annotated[str, always(NOT_RENDERABLE)] | None,
    described(
        "`not_renderable`：此条目无法显示，其余字段为空或未知；正常时没有此字段",
        "`not_renderable`: this entry cannot be shown, its other fields are empty or unknown; "
        "absent otherwise",
    ),
]
