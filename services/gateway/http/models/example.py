"""What all models have in common: an example, and no field that is not described."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Percent = Annotated[float, Field(ge=0, le=100)]


class Camel(BaseModel):
    """A model whose fields are written as the VM API's document writes them: `createdAt`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


def with_example(example: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a model that has these fields and no others."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})
