"""What all models have in common: an example, and no field that is not described."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Percent = Annotated[float, Field(ge=0, le=100)]
# Of an entry of which nothing but its place and state can be shown.
Error = Annotated[
    Literal["not_renderable"] | None,
    Field(description="`not_renderable`：此条目无法显示，其余字段为空或未知；正常时没有此字段"),
]


class Camel(BaseModel):
    """A model whose fields are written as the VM API's document writes them: `createdAt`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


def with_example(example: dict[str, Any], **rules: Any) -> ConfigDict:
    """Return the configuration of a model that has these fields and no others.

    `rules` are JSON Schema's for what validators enforce that fields alone cannot say.
    """
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example], **rules})


def given(field: str, **schema: Any) -> dict[str, Any]:
    """Return the rule that a field is there, and is like this."""
    return {"required": [field], "properties": {field: schema}}


def absent(field: str) -> dict[str, Any]:
    """Return the rule that a field is not there, or null."""
    return {"properties": {field: {"type": "null"}}}
